//! Ctrl-C while a word works.
//!
//! Owns: the first press, which asks the work to end, and the second one, which does not ask. Never stops `naru up`.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Failure;

/// What a shell shows for a process that Ctrl-C ended.
const EXIT_INTERRUPTED: i32 = 130;

/// Listens from the moment it is made; a press between two waits is not lost.
#[derive(Debug)]
pub(super) struct Interrupt(CancellationToken);

impl Interrupt {
    /// Begins to listen.
    pub(super) fn listen() -> Result<Self, Failure> {
        let mut presses = signal(SignalKind::interrupt())?;
        let pressed = CancellationToken::new();
        let told = pressed.clone();
        tokio::spawn(async move {
            presses.recv().await;
            told.cancel();
            presses.recv().await;
            // The word may hang in writing to a pipe that nobody reads.
            std::process::exit(EXIT_INTERRUPTED);
        });
        Ok(Self(pressed))
    }

    /// Comes back once Ctrl-C was pressed.
    pub(super) async fn pressed(&self) {
        self.0.cancelled().await;
    }
}
