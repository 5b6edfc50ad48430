//! Talking to the running naru of a folder.
//!
//! Owns: finding it, waiting for one that is starting, turning its answers into ours. Never starts one.

use std::{path::Path, time::Duration};

use naru_server::control::Client;
use naru_store::{LOCK_FILE, Lock};
use serde_json::Value;

use crate::failure::Failure;

/// The version both halves of the control socket must share.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long a command waits for a naru that holds the lock but has no socket yet.
const STARTING_MAX: Duration = Duration::from_secs(10);

/// The running naru of this project; `None` when nothing runs.
pub async fn find(root: &Path) -> Result<Option<Client>, Failure> {
    let deadline = tokio::time::Instant::now() + STARTING_MAX;
    loop {
        if let Some(client) = Client::find(root, VERSION).await.map_err(|error| Failure::from(error.problem()))? {
            return Ok(Some(client));
        }
        let lock = root.join(naru_project::STATE_FOLDER).join(LOCK_FILE);
        let held = lock.exists() && Lock::holder(&lock).map_err(|error| Failure::from(error.problem()))?.is_some();
        if !held || tokio::time::Instant::now() >= deadline {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The running naru, or a failure that says that one is needed.
pub async fn needed(root: &Path) -> Result<Client, Failure> {
    find(root).await?.ok_or_else(|| {
        naru_base::Problem::new("cli.not_running", "nothing runs in this project")
            .hint("Start it with `naru up`.")
            .into()
    })
}

/// Asks for a word; progress lines go to `line`.
pub async fn call(client: &Client, word: &str, body: &Value, line: impl FnMut(Value) + Send) -> Result<Value, Failure> {
    client.call(word, body, line).await.map_err(|error| error.problem().into())
}
