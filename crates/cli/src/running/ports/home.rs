//! What the first page needs of the running naru: `naru status`, and room on its disks.
//!
//! Owns: looking at the disks. Never decides what is late or full enough to tell of.

use std::path::Path;

use async_trait::async_trait;
use naru_server::api::home::{Disk, HomePort};
use serde_json::Value;

use crate::running::{Running, sources};

#[async_trait]
impl HomePort for Running {
    async fn status(&self) -> Value {
        Self::status(self).await
    }

    fn disk(&self) -> Disk {
        let marks = sources::disk_marks(&self.home);
        let free = marks.folders.iter().filter_map(|folder| free(folder)).min();
        Disk { free: free.unwrap_or(0), least: marks.copy_free_min.max(marks.apply_free_min) }
    }
}

/// Free bytes for users on a folder's disk; none where it cannot be asked (a lake in a bucket has no folder).
fn free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
