//! Sources that naru followed and whose file is gone: what they still cost their database, and taking naru out of them.
//!
//! Owns: the entries of `naru status` for them, and `naru sync drop`. What is needed to reach such a source is kept in
//! the state database as its file wrote it: names of variables and secret files, never a secret.
//! Never follows a source.

use std::time::Duration;

use naru_base::Problem;
use naru_project::Environment;
use naru_store::{
    Store, kv,
    sync_sources::{self, SyncSource},
    sync_tables::{self, SyncTable},
};
use naru_sync::{
    catalog,
    postgres::{ConnectSettings, DecodeCounts, connect_sql},
    publication::{self, SourceNames},
};
use serde_json::{Value, json};

use crate::home::Home;

/// How long `naru status` waits for the database of a source without a file.
const ASK_MAX: Duration = Duration::from_secs(3);

/// Whether the folder has a file for this source now.
pub fn has_file(home: &Home, name: &str) -> bool {
    home.project.source(name).is_some_and(|source| home.project.root.join(&source.place.file).exists())
}

/// The entries of `naru status` for every source that has no file.
///
/// # Errors
/// The state database cannot be read.
pub async fn list(home: &Home, store: &Store) -> Result<Vec<Value>, Problem> {
    let known = store.read(|db| sync_sources::list(db)).await.map_err(|error| error.problem())?;
    let mut entries = Vec::new();
    for source in known.into_iter().filter(|source| home.project.source(&source.source).is_none()) {
        let name = source.source.clone();
        let of_source = name.clone();
        let read = store.read(move |db| sync_tables::list(db, Some(&of_source))).await;
        let tables: Vec<Value> = read.map_err(|error| error.problem())?.iter().map(table).collect();
        let retained = retained(home, &source).await;
        let problem = problem(&name, &retained);
        let bytes = retained.ok().flatten();
        entries.push(json!({"source": name, "phase": "vanished", "problem": problem, "retained_bytes": bytes,
                            "tables": tables}));
    }
    Ok(entries)
}

/// A stored table as `naru status` shows it.
pub fn table(row: &SyncTable) -> Value {
    json!({"table": row.lake, "source_table": format!("{}.{}", row.schema, row.table), "state": row.state.as_str(),
           "reason": row.reason, "fix": row.fix, "adjusted_values": DecodeCounts::stored(&row.detail["adjusted"]).total()})
}

/// What `naru status` says of a source without a file; `retained` is the log its slot keeps, `None` without a slot.
pub fn problem(name: &str, retained: &Result<Option<i64>, Problem>) -> Value {
    let keeps = match retained {
        Ok(Some(bytes)) => format!("its slot still keeps {} of the database's log", size(*bytes)),
        Ok(None) => "the database has no slot of it any more".to_owned(),
        Err(why) => format!("how much log its slot still keeps could not be asked ({})", why.summary),
    };
    json!({"code": "sync.source_vanished", "summary": format!("the file sources/{name}.toml is gone, and {keeps}"),
           "hint": format!("Put the file back, or take naru out of the database: `naru sync drop {name}`.")})
}

fn size(bytes: i64) -> String {
    match bytes {
        1_000_000_000.. => format!("{}.{} GB", bytes / 1_000_000_000, bytes % 1_000_000_000 / 100_000_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

async fn retained(home: &Home, source: &SyncSource) -> Result<Option<i64>, Problem> {
    let Some(slot) = &source.slot else { return Ok(None) };
    let mut settings = settings(home, &source.source, source.url_reference.as_deref())?;
    settings.connect_timeout = settings.connect_timeout.min(ASK_MAX);
    let client = connect_sql(&settings).await.map_err(|error| error.problem())?;
    let facts = catalog::slot(&client, slot).await.map_err(|error| error.problem())?;
    Ok(facts.map(|slot| slot.retained_bytes))
}

/// How to reach a source: by its file, else by what was kept of it.
fn settings(home: &Home, name: &str, reference: Option<&str>) -> Result<ConnectSettings, Problem> {
    let written =
        home.project.source(name).and_then(|source| source.postgres()).map(|source| source.url_written.as_str());
    let Some(written) = written.or(reference) else {
        return Err(Problem::new("cli.no_source", format!("naru knows no source \"{name}\""))
            .hint("`naru status` lists the sources, also those whose file is gone."));
    };
    let url = Environment::of_process().url(&home.project.root, written)?;
    ConnectSettings::parse(url.expose()).map_err(|error| {
        Problem::new("sync.url", format!("the url of source \"{name}\" cannot be used")).detail(error.to_string())
    })
}

/// Removes everything naru made at a source: slot, publications, triggers; and what it kept here, but for the lake.
/// No engine of this source may run.
///
/// # Errors
/// The source is unknown or cannot be reached, or the role may not.
pub async fn drop_source(home: &Home, store: &Store, name: &str) -> Result<(), Problem> {
    let owned = name.to_owned();
    let read = store.read(move |db| sync_sources::get(db, &owned)).await;
    let stored = read.map_err(|error| error.problem())?;
    let settings = settings(home, name, stored.and_then(|row| row.url_reference).as_deref())?;
    let project_id = store.write(|db| kv::project_id(db)).await.map_err(|error| error.problem())?;
    let names = SourceNames::new(&project_id, name);
    let client = connect_sql(&settings).await.map_err(|error| error.problem())?;
    publication::drop_slot(&client, &names.slot).await.map_err(|error| error.problem())?;
    publication::remove(&client, &names).await.map_err(|error| error.problem())?;
    let owned = name.to_owned();
    store.write(move |db| sync_sources::remove(db, &owned)).await.map_err(|error| error.problem())?;
    let spools = home.project.state_folder().join("spool").join(name);
    match std::fs::remove_dir_all(&spools) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Problem::from_error("cli.io", format!("the folder {} could not be removed", spools.display()), &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_forgotten_slot_costs_is_said_in_people_s_units() {
        for (bytes, text) in [(0, "0 MB"), (16_777_216, "16 MB"), (2_345_000_000, "2.3 GB")] {
            assert_eq!(size(bytes), text);
        }
        let told = problem("shop", &Err(Problem::new("x", "no answer")));
        assert!(told["summary"].as_str().unwrap().contains("no answer"));
    }
}
