//! The control socket: how a command talks to the running naru of its folder.
//!
//! HTTP/1.1 over a Unix socket that only this user can open. `POST /sql` answers with frames (see `frame`),
//! `GET /status` with JSON, `POST /call/{word}` with JSON lines. Every request and answer names its version.
//! Owns: the socket's place, both halves of the protocol. What the words mean is the caller's [`Control`].

mod client;
mod frame;
mod place;
mod server;

use async_trait::async_trait;
use naru_base::Problem;
use serde_json::Value;
use tokio::sync::mpsc;

pub use client::{Client, SqlAnswer, SqlRequest};
pub use place::socket_path;
pub use server::{ControlDoor, serve};

/// The header that carries a version both ways.
pub(crate) const VERSION_HEADER: &str = "x-naru-version";
/// Progress lines that wait for a slow reader before the caller waits too.
pub(crate) const LINES_AHEAD: usize = 256;

/// What a running naru does for commands.
#[async_trait]
pub trait Control: Send + Sync {
    /// The whole state, as `naru status --json` prints it.
    async fn status(&self) -> Value;

    /// Does what `word` says (`sync.resync`, `run`, …). Lines sent to `progress` reach the command as they come;
    /// when nobody reads them any more, sending fails and the work may stop.
    async fn call(&self, word: &str, body: Value, progress: mpsc::Sender<Value>) -> Result<Value, Problem>;
}
