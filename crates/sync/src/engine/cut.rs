//! One position of the source, shown to somebody who asked for exactly that.
//!
//! Owns: what a session keeps of such a request, and when it is answered or given up. The session goes on meanwhile:
//! only reading stands still, and only until the position is told.
//! Never decides what a transaction is; the stream does.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use naru_base::{Lsn, TableId};
use naru_lake::live::Cut;
use tokio::sync::oneshot;

use super::{commands::CommandError, stream::Stream};
use crate::{postgres::Event, state::TableState};

/// How long the stream stands still for somebody who does not tell the position. Making a slot takes less.
const HELD_MAX: Duration = Duration::from_secs(45);
/// Pause between two requests for a keep-alive, by which the position of an idle source moves on.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// All tables of a source at one position.
#[derive(Debug, Clone)]
pub struct CutShown {
    /// The views. Only those of live tables hold exactly the commits before the position.
    pub cut: Arc<Cut>,
    /// Where every table stood then.
    pub states: BTreeMap<TableId, TableState>,
}

/// The channel that takes the views, or why there are none.
pub type CutAnswer = oneshot::Sender<Result<CutShown, CommandError>>;

/// A request under way.
#[derive(Debug)]
pub(super) enum CutWanted {
    /// The stream stands still until the position is told.
    Held { position: oneshot::Receiver<Lsn>, answer: CutAnswer, since: Instant },
    /// The stream runs up to the position.
    Awaited { position: Lsn, answer: CutAnswer, asked: Instant },
}

impl CutWanted {
    /// Stands still from now on.
    pub(super) fn held(position: oneshot::Receiver<Lsn>, answer: CutAnswer) -> Self {
        Self::Held { position, answer, since: Instant::now() }
    }

    /// Whether nothing may be read now.
    pub(super) fn holds(wanted: Option<&Self>) -> bool {
        matches!(wanted, Some(Self::Held { .. }))
    }

    /// Comes when the position is told, or nobody is left to tell it. Waits for ever when nothing is held.
    pub(super) async fn told(wanted: &mut Option<Self>) -> Option<Lsn> {
        match wanted {
            Some(Self::Held { position, .. }) => position.await.ok(),
            Some(Self::Awaited { .. }) | None => std::future::pending().await,
        }
    }

    /// Lets the stream run up to `position`; `None` ends the request.
    pub(super) fn run_to(wanted: &mut Option<Self>, position: Option<Lsn>) {
        *wanted = match (wanted.take(), position) {
            (Some(Self::Held { answer, .. }), Some(position)) => {
                Some(Self::Awaited { position, answer, asked: Instant::now() })
            }
            _ => None,
        };
    }

    /// Gives up what nobody waits for and what has been held too long. `true` when the server shall say where it is.
    pub(super) fn look_after(wanted: &mut Option<Self>) -> bool {
        match wanted {
            Some(Self::Held { answer, since, .. }) if !answer.is_closed() && since.elapsed() < HELD_MAX => false,
            Some(Self::Awaited { answer, asked, .. }) if !answer.is_closed() => {
                let due = asked.elapsed() >= ASK_EVERY;
                if due {
                    *asked = Instant::now();
                }
                due
            }
            Some(_) => {
                if let Some(Self::Held { answer, .. }) = wanted.take() {
                    let reason = "no position of the source was told in time, so the stream goes on";
                    // Whoever asked may be gone.
                    drop(answer.send(Err(CommandError::Failed(reason.into()))));
                }
                *wanted = None;
                false
            }
            None => false,
        }
    }

    /// Whether the next event belongs behind the position, or everything before it has been handled.
    pub(super) fn is_reached(wanted: Option<&Self>, stream: &Stream, next: Option<&Event>) -> bool {
        let Some(Self::Awaited { position, .. }) = wanted else { return false };
        if !stream.at_boundary() {
            return false;
        }
        let begins = |event: &Event| match event {
            Event::XLogData { data, .. } => stream.begins_at_or_after(data, *position),
            Event::KeepAlive { .. } => false,
        };
        stream.cut >= *position || next.is_some_and(begins)
    }

    /// Answers with what is shown now, which the caller has published.
    pub(super) fn answer(wanted: &mut Option<Self>, stream: &Stream) {
        if let Some(Self::Awaited { answer, .. }) = wanted.take() {
            // Whoever asked may be gone.
            drop(answer.send(Ok(CutShown { cut: stream.live_set.snapshot(), states: stream.states() })));
        }
    }
}
