//! The format of the state database and the way from one to the next.
//!
//! Owns: the list of migrations, the backup copy before the first of them, and the refusal of what is newer.
//! A migration file is never edited once released: a new one follows it.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, TransactionBehavior};

use crate::error::StoreError;

/// Marks the file as naru's (`naru` in ASCII), in SQLite's `application_id`.
const APPLICATION_ID: i32 = 0x6E61_7275;

/// Every migration, in order; the format number of a database is how many of them it has.
const MIGRATIONS: &[(&str, &str)] = &[
    ("001_state.sql", include_str!("migrations/001_state.sql")),
    ("002_runs.sql", include_str!("migrations/002_runs.sql")),
    ("003_url_reference.sql", include_str!("migrations/003_url_reference.sql")),
    ("004_rollback.sql", include_str!("migrations/004_rollback.sql")),
    ("005_topics.sql", include_str!("migrations/005_topics.sql")),
    ("006_topic_registry.sql", include_str!("migrations/006_topic_registry.sql")),
    ("007_pubsub.sql", include_str!("migrations/007_pubsub.sql")),
    ("008_topic_offsets.sql", include_str!("migrations/008_topic_offsets.sql")),
    ("009_people.sql", include_str!("migrations/009_people.sql")),
    ("010_audit.sql", include_str!("migrations/010_audit.sql")),
    ("011_queries.sql", include_str!("migrations/011_queries.sql")),
];

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) found: u32,
    pub(crate) known: u32,
}

/// Reads the format; refuses files of other programs and of newer software.
pub(crate) fn format(connection: &Connection, path: &Path) -> Result<Format, StoreError> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if id != APPLICATION_ID && (id != 0 || tables != 0) {
        return Err(StoreError::Foreign { path: path.to_path_buf() });
    }
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(StoreError::FormatNewer { found, known });
    }
    Ok(Format { found, known })
}

/// Brings a database to the newest format. Each step is one transaction, so a kill leaves a whole older format.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let Format { found, known } = format(connection, path)?;
    if found == known {
        return Ok(());
    }
    if found > 0 {
        backup(connection, path, found)?;
    }
    for (number, (name, sql)) in (1..=known).zip(MIGRATIONS).skip_while(|(number, _)| *number <= found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
        tracing::debug!(migration = name, "state database migrated");
    }
    Ok(())
}

/// Where the copy of a format is kept, beside the database.
pub(crate) fn backup_path(path: &Path, format: u32) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".format-{format}.backup"));
    path.with_file_name(name)
}

/// Copies the database whole; a copy of an earlier, broken-off attempt is replaced.
fn backup(connection: &Connection, path: &Path, format: u32) -> Result<(), StoreError> {
    let copy = backup_path(path, format);
    let partial = copy.with_extension("partial");
    if partial.exists() {
        std::fs::remove_file(&partial).map_err(StoreError::io(&partial))?;
    }
    connection.backup("main", &partial, None::<fn(rusqlite::backup::Progress)>)?;
    File::open(&partial).and_then(|file| file.sync_all()).map_err(StoreError::io(&partial))?;
    std::fs::rename(&partial, &copy).map_err(StoreError::io(&copy))?;
    tracing::info!(copy = %copy.display(), "state database copied before its migration");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_file_is_listed_in_order() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/migrations");
        let mut files: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, MIGRATIONS.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
        for (number, name) in (1..).zip(&files) {
            assert!(name.starts_with(&format!("{number:03}_")), "{name}");
        }
    }

    #[test]
    fn an_older_format_is_copied_before_it_is_migrated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("naru.db");
        let mut connection = Connection::open(&path).unwrap();
        connection.execute_batch(MIGRATIONS[0].1).unwrap();
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        connection.execute("INSERT INTO kv VALUES ('a', 'b')", []).unwrap();
        // A broken-off attempt has left half a copy.
        std::fs::write(backup_path(&path, 1).with_extension("partial"), "half").unwrap();
        migrate(&mut connection, &path).unwrap();
        assert_eq!(format(&connection, &path).unwrap().found, u32::try_from(MIGRATIONS.len()).unwrap());
        migrate(&mut connection, &path).unwrap();
        let copy = Connection::open(backup_path(&path, 1)).unwrap();
        assert_eq!(copy.query_row("SELECT value FROM kv", [], |row| row.get::<_, String>(0)), Ok("b".to_owned()));
    }

    #[test]
    fn newer_and_foreign_files_are_refused_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("naru.db");
        let mut connection = Connection::open(&path).unwrap();
        connection.execute("CREATE TABLE theirs (a)", []).unwrap();
        assert!(matches!(migrate(&mut connection, &path), Err(StoreError::Foreign { .. })));
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        connection.pragma_update(None, "user_version", 9_999).unwrap();
        assert!(matches!(migrate(&mut connection, &path), Err(StoreError::FormatNewer { found: 9_999, .. })));
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, 9_999);
    }
}
