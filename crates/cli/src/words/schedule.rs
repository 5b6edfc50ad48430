//! `naru schedule`: stopping a mart's schedule for a while.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::{Failure, runs::login};
use crate::{home::Home, remote};

/// Stop the schedules of marts, and let them go on.
#[derive(Debug, Subcommand)]
pub enum Schedule {
    /// Let a mart's times pass until it is resumed, also over restarts. It can still be run by hand.
    Pause {
        /// The mart (dataset.table).
        mart: String,
        /// Why, for those who find it stopped.
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
    /// Go on with the mart's next time; what passed meanwhile is not made up for.
    Resume {
        /// The mart (dataset.table).
        mart: String,
    },
}

impl Schedule {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let home = Home::look(place)?;
        let (word, mart, why, done) = match self {
            Self::Pause { mart, why } => ("schedule.pause", mart, why, "is paused; it can still be run by hand"),
            Self::Resume { mart } => ("schedule.resume", mart, None, "goes on with its next time"),
        };
        let client = remote::needed(&home.project.root).await?;
        let body = json!({"table": mart, "by": login(), "why": why});
        remote::call(&client, word, &body, |_| {}).await?;
        eprintln!("the schedule of {mart} {done}");
        Ok(())
    }
}
