//! Results that outlive their query: one folder each, and how long.
//!
//! Owns: the folder's layout (`rows.arrows`, `result.json`), what is found again when naru starts, and which results
//! go. A folder without its `result.json` is the rest of a query that did not finish, and goes.

use std::{fs, io::Write as _, path::Path};

use serde::{Deserialize, Serialize};

use super::{JobId, spool::Index, state::Read};

/// Written last: its presence says that the rows are whole.
const RESULT_FILE: &str = "result.json";

/// What stands beside the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub id: JobId,
    /// Whose it is.
    pub who: String,
    pub sql: String,
    pub submitted_us: i64,
    pub started_us: Option<i64>,
    pub ended_us: i64,
    pub expires_us: i64,
    pub time_zone: String,
    pub rows_read: u64,
    pub bytes_read: u64,
    pub reads: Vec<Read>,
    pub index: Index,
}

/// Says that the rows in `folder` are whole.
pub(super) fn seal(folder: &Path, kept: &Kept) -> std::io::Result<()> {
    let partial = folder.join("result.partial");
    let mut file = fs::File::create(&partial)?;
    file.write_all(&serde_json::to_vec(kept)?)?;
    fs::rename(&partial, folder.join(RESULT_FILE))
}

/// Every result below `folder` that is whole and has not expired; everything else there is removed.
pub(super) fn recover(folder: &Path, now_us: i64) -> std::io::Result<Vec<Kept>> {
    fs::create_dir_all(folder)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match read(&path).filter(|kept| kept.expires_us > now_us) {
            Some(kept) => found.push(kept),
            None => remove(&path),
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

fn read(folder: &Path) -> Option<Kept> {
    let kept: Kept = serde_json::from_slice(&fs::read(folder.join(RESULT_FILE)).ok()?).ok()?;
    (folder.file_name()?.to_str()? == kept.id.to_string()).then_some(kept)
}

/// Gives up a result. Whoever is reading it keeps its open file.
pub(super) fn remove(folder: &Path) {
    let removed = if folder.is_dir() { fs::remove_dir_all(folder) } else { fs::remove_file(folder) };
    if let Err(error) = removed
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, folder = %folder.display(), "a result could not be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(expires_us: i64) -> Kept {
        Kept {
            id: JobId::new(),
            who: "owner".to_owned(),
            sql: "SELECT 1".to_owned(),
            submitted_us: 0,
            started_us: Some(0),
            ended_us: 0,
            expires_us,
            time_zone: "UTC".to_owned(),
            rows_read: 0,
            bytes_read: 0,
            reads: Vec::new(),
            index: Index::default(),
        }
    }

    #[test]
    fn what_has_expired_or_was_never_finished_is_gone_after_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let put = |kept: &Kept| {
            let own = folder.path().join(kept.id.to_string());
            fs::create_dir_all(&own).unwrap();
            seal(&own, kept).unwrap();
        };
        let (fresh, old, half) = (kept(100), kept(50), kept(100));
        put(&fresh);
        put(&old);
        fs::create_dir_all(folder.path().join(half.id.to_string())).unwrap();
        fs::write(folder.path().join("stray"), "x").unwrap();
        assert_eq!(recover(folder.path(), 50).unwrap(), std::slice::from_ref(&fresh));
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [fresh.id.to_string().as_str()]);
    }
}
