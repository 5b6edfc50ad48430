//! `naru sync`: looking after sources and their tables.

use std::{path::PathBuf, time::Duration};

use clap::Subcommand;
use naru_base::Problem;
use naru_store::{Lock, kv, sync_sources};
use naru_sync::{postgres::connect_sql, publication};
use serde_json::json;

use super::{Failure, status};
use crate::{home::Home, remote, running::sources};

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
    /// Remove everything naru made at a source: slot, publications, trigger. The lake's tables stay.
    Drop {
        /// Name of the source.
        source: String,
    },
}

impl Sync {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let home = Home::open(place.clone())?;
        let (word, table) = match self {
            Self::Status => {
                let client = remote::needed(&home.project.root).await?;
                let status = client.status().await.map_err(|error| Failure::from(error.problem()))?;
                print!("{}", status::text(&status));
                return Ok(());
            }
            Self::Drop { source } => return drop_source(&home, &source).await,
            Self::Resync { table } => ("sync.resync", table),
            Self::Pause { table } => ("sync.pause", table),
            Self::Resume { table } => ("sync.resume", table),
        };
        let client = remote::needed(&home.project.root).await?;
        remote::call(&client, word, &json!({"table": table}), |_| {}).await?;
        eprintln!("done; `naru status` shows how it goes");
        Ok(())
    }
}

async fn drop_source(home: &Home, name: &str) -> Result<(), Failure> {
    let Some(source) = home.project.source(name) else {
        return Err(Problem::new("cli.no_source", format!("there is no source \"{name}\""))
            .hint(format!("Its file sources/{name}.toml is needed to connect; put it back for this."))
            .into());
    };
    let lock_path = home.lock_path()?;
    let _lock = Lock::acquire(&lock_path, "naru sync drop", Duration::from_secs(1))
        .map_err(|error| Failure::from(error.problem().hint("Stop `naru up` first: it would make the slot again.")))?;
    let store = home.store()?;
    let failed = |error: naru_store::StoreError| Failure::from(error.problem());
    let project_id = store.write(|db| kv::project_id(db)).await.map_err(failed)?;
    let lake = home.lake().await?;
    let context = sources::context(home, source, &lake, &store, &project_id)?;
    let client = connect_sql(&context.connect).await.map_err(|error| Failure::from(error.problem()))?;
    let refused = |error: naru_sync::SyncError| Failure::from(error.problem());
    publication::drop_slot(&client, &context.names.slot).await.map_err(refused)?;
    publication::remove(&client, &context.names).await.map_err(refused)?;
    let owned = name.to_owned();
    store.write(move |db| sync_sources::remove(db, &owned)).await.map_err(failed)?;
    eprintln!("source {name}: slot, publications and trigger are gone; the lake's tables stay");
    Ok(())
}
