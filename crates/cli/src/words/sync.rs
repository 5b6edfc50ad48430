//! `naru sync`: looking after sources and their tables.

use std::{path::PathBuf, time::Duration};

use clap::Subcommand;
use naru_store::Lock;
use serde_json::json;

use super::{Failure, status};
use crate::{home::Home, remote, running::vanished};

/// Look after synced sources.
#[derive(Debug, Subcommand)]
pub enum Sync {
    /// Show sources and tables.
    Status,
    /// Copy a table again; its old rows stay readable meanwhile.
    Resync {
        /// dataset.table
        table: String,
    },
    /// Stop a table; its changes wait on disk.
    Pause {
        /// dataset.table
        table: String,
    },
    /// Let a paused or quarantined table go on.
    Resume {
        /// dataset.table
        table: String,
    },
    /// Remove everything naru made at a source: slot, publications, trigger. The lake's tables stay. Works without
    /// the source's file too.
    Drop {
        /// Name of the source.
        source: String,
    },
}

impl Sync {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let home = Home::open(place.clone())?;
        let (word, table, done) = match self {
            Self::Status => {
                let client = remote::needed(&home.project.root).await?;
                let status = client.status().await.map_err(|error| Failure::from(error.problem()))?;
                print!("{}", status::text(&status));
                return Ok(());
            }
            Self::Drop { source } => return drop_source(&home, &source).await,
            Self::Resync { table } => ("sync.resync", table, "is copied again; its old rows stay readable meanwhile"),
            Self::Pause { table } => ("sync.pause", table, "is paused; its changes wait on disk"),
            Self::Resume { table } => ("sync.resume", table, "goes on"),
        };
        let client = remote::needed(&home.project.root).await?;
        remote::call(&client, word, &json!({"table": table}), |_| {}).await?;
        eprintln!("{table} {done}; `naru status` shows how it goes");
        Ok(())
    }
}

async fn drop_source(home: &Home, name: &str) -> Result<(), Failure> {
    if let Some(client) = remote::find(&home.project.root).await? {
        remote::call(&client, "sync.drop", &json!({"source": name}), |_| {}).await?;
    } else {
        let lock_path = home.lock_path()?;
        let _lock = Lock::acquire(&lock_path, "naru sync drop", Duration::from_secs(1))
            .map_err(|error| Failure::from(error.problem().hint("Stop `naru up` first.")))?;
        vanished::drop_source(home, &home.store()?, name).await?;
    }
    eprintln!("source {name}: slot, publications and trigger are gone; the lake's tables stay");
    Ok(())
}
