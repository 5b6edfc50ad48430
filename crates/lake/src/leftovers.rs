//! What a kill leaves in a lake that is a folder: files that were being written under another name.
//!
//! Owns: telling such files by their name, and removing them. A put into a local folder writes `name#1` (or `#2`, …)
//! first and renames it at the end; nobody reads a name like that, and nothing else would ever remove it.
//! Never touches a file that a put has finished.

use std::path::Path;

use crate::error::LakeError;

/// Endings of what the lake writes.
const ENDINGS: [&str; 5] = [".parquet", ".json", ".bin", ".crc", "_last_checkpoint"];

/// Removes half-written files below `folder` and gives their number. A folder that is not there has none.
///
/// Only for who holds the project's lock, and before anything is written: a put that runs would lose its file.
///
/// # Errors
/// [`LakeError::Io`] if a folder cannot be listed or a file not be removed.
pub async fn remove(folder: &Path) -> Result<usize, LakeError> {
    let folder = folder.to_owned();
    let removed = tokio::task::spawn_blocking(move || below(&folder));
    removed.await.map_err(|error| LakeError::Task(error.to_string()))?
}

fn below(folder: &Path) -> Result<usize, LakeError> {
    let mut removed = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && entry.file_name().to_str().is_some_and(is_half_written) {
                std::fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

fn is_half_written(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(whole, number)| {
        !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && ENDINGS.iter().any(|ending| whole.ends_with(ending))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_a_put_left_half_way_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("shop/t/_delta_log");
        std::fs::create_dir_all(&log).unwrap();
        let (half, whole) = (
            ["../part-1.parquet#1", "../vectors.bin#12", "00000000000000000003.json#1", "_last_checkpoint#2"],
            ["../part-1.parquet", "../note#1", "../a.parquet#b", "00000000000000000003.json"],
        );
        for name in half.iter().chain(&whole) {
            std::fs::write(log.join(name), "x").unwrap();
        }
        assert_eq!(remove(folder.path()).await.unwrap(), half.len());
        assert!(whole.iter().all(|name| log.join(name).exists()));
        assert_eq!(remove(&folder.path().join("nowhere")).await.unwrap(), 0);
    }
}
