//! Room on this machine's disks, so that naru stops before they are full.
//!
//! Owns: [`DiskMarks`] (which disks, which marks) and the verdict at one moment, [`Room`].
//! Never stops anything itself: rounds of copies and the session ask. Stopping loses nothing, because nothing is
//! acknowledged that is not safe here; queries go on.

use std::path::{Path, PathBuf};

use naru_base::failpoint;

use crate::error::SyncError;

/// Unit in which people are told.
const MB: u64 = 1_000_000;

/// Disk that stays free.
#[derive(Debug, Clone)]
pub struct DiskMarks {
    /// Folders whose disks are watched: the state's, and the lake's where it is a folder.
    pub folders: Vec<PathBuf>,
    /// Below this many free bytes no copy begins, and the running one ends.
    pub copy_free_min: u64,
    /// Below this many free bytes nothing more is taken from the source.
    pub apply_free_min: u64,
}

/// What is free on the fullest of the watched disks.
#[derive(Debug, Clone)]
pub struct Room {
    place: String,
    free: u64,
    copy_free_min: u64,
    apply_free_min: u64,
}

impl DiskMarks {
    /// Looks at every watched disk. One that cannot be looked at counts as empty.
    pub fn look(&self) -> Room {
        let full = failpoint::hit("sync.disk_low");
        let free = |folder: &PathBuf| if full { 0 } else { free_bytes(folder) };
        let fullest = self.folders.iter().map(|folder| (free(folder), folder)).min_by_key(|(free, _)| *free);
        Room {
            place: fullest.map(|(_, folder)| folder.display().to_string()).unwrap_or_default(),
            free: fullest.map_or(u64::MAX, |(free, _)| free),
            copy_free_min: self.copy_free_min,
            apply_free_min: self.apply_free_min,
        }
    }
}

impl Room {
    /// # Errors
    /// [`SyncError::DiskLow`] when copies must wait.
    pub fn for_copying(&self) -> Result<(), SyncError> {
        self.above(self.copy_free_min.max(self.apply_free_min), "copy_free_min")
    }

    /// # Errors
    /// [`SyncError::DiskLow`] when nothing more may be taken from the source.
    pub fn for_applying(&self) -> Result<(), SyncError> {
        self.above(self.apply_free_min, "apply_free_min")
    }

    fn above(&self, mark: u64, setting: &'static str) -> Result<(), SyncError> {
        if self.free >= mark {
            return Ok(());
        }
        let setting = if self.free < self.apply_free_min { "apply_free_min" } else { setting };
        Err(SyncError::DiskLow { place: self.place.clone(), free_mb: self.free / MB, wanted_mb: mark / MB, setting })
    }
}

/// Bytes that naru may still write below a folder; it need not exist yet.
fn free_bytes(folder: &Path) -> u64 {
    let looked = folder.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok());
    looked.map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(free: u64) -> Room {
        Room { place: "/lake".into(), free, copy_free_min: 5 * MB, apply_free_min: 2 * MB }
    }

    #[test]
    fn copies_stop_first_then_applying() {
        for (free, copying, applying) in [(5, true, true), (4, false, true), (2, false, true), (1, false, false)] {
            let room = room(free * MB);
            assert_eq!((room.for_copying().is_ok(), room.for_applying().is_ok()), (copying, applying), "{free}");
        }
    }

    #[test]
    fn a_folder_that_does_not_exist_yet_is_on_the_disk_of_its_parent() {
        assert!(free_bytes(Path::new("/no/such/folder")) < u64::MAX);
    }
}
