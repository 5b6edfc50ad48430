//! `naru topic pause` and `naru topic resume`: stopping one forward of a topic, and letting it go on.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Failure;
use crate::{home, remote};

/// One forward of a topic.
#[derive(Debug, Args)]
pub struct OneForward {
    /// The topic.
    topic: String,
    /// NAME in [forwards.NAME] of the topic's file.
    #[arg(long, value_name = "NAME")]
    forward: String,
}

impl OneForward {
    pub(super) async fn pause(self, place: Option<PathBuf>) -> Result<(), Failure> {
        self.ask(place, "forward.pause", "is paused; its events wait on the log, and no other reader waits for it")
            .await
    }

    pub(super) async fn resume(self, place: Option<PathBuf>) -> Result<(), Failure> {
        self.ask(place, "forward.resume", "goes on where it stopped; `naru status` shows how it goes").await
    }

    async fn ask(self, place: Option<PathBuf>, word: &str, done: &str) -> Result<(), Failure> {
        let client = remote::needed(&home::find(place)?).await?;
        let body = json!({"topic": self.topic, "forward": self.forward});
        remote::call(&client, word, &body, |_| {}).await?;
        eprintln!("forward {} of topic {} {done}", self.forward, self.topic);
        Ok(())
    }
}
