//! Sessions of the database that stay open across steps: a forgotten transaction, an owner who waits for a lock.
//!
//! Owns: their connections and what runs behind the script's back. Never knows what a step is for.

use std::collections::HashMap;

use naru_testkit::PostgresServer;
use tokio::sync::{mpsc, oneshot};

/// Statements of one step, and who hears how they ended.
type Task = (String, oneshot::Sender<Result<(), String>>);

/// Open sessions by name.
#[derive(Default)]
pub struct Sessions {
    open: HashMap<String, Session>,
}

struct Session {
    tasks: mpsc::UnboundedSender<Task>,
    behind: Option<oneshot::Receiver<Result<(), String>>>,
}

impl Sessions {
    /// Begins to run statements in a session, which is opened where it is missing.
    pub async fn begin(&mut self, name: &str, server: &PostgresServer, sql: String) {
        if !self.open.contains_key(name) {
            let client = server.client().await;
            let (tasks, mut asked) = mpsc::unbounded_channel::<Task>();
            tokio::spawn(async move {
                while let Some((sql, tell)) = asked.recv().await {
                    let done = client.batch_execute(&sql).await;
                    let told =
                        done.map_err(|error| error.as_db_error().map_or(error.to_string(), |e| format!("{e:?}")));
                    // A script that does not wait for the end does not care.
                    let _unheard = tell.send(told);
                }
            });
            self.open.insert(name.to_owned(), Session { tasks, behind: None });
        }
        let session = self.open.get_mut(name).expect("just opened");
        let (tell, told) = oneshot::channel();
        session.tasks.send((sql, tell)).expect("a session's task runs as long as the session");
        session.behind = Some(told);
    }

    /// Waits until what was begun last in a session has ended well.
    ///
    /// # Errors
    /// Why it did not.
    pub async fn end(&mut self, name: &str, wait: std::time::Duration) -> Result<(), String> {
        let behind = self.open.get_mut(name).and_then(|session| session.behind.take());
        let told = tokio::time::timeout(wait, behind.ok_or_else(|| format!("nothing runs in session {name}"))?).await;
        told.map_err(|_| format!("what session {name} runs has not ended"))?
            .map_err(|_| "the session ended".to_owned())?
    }
}
