//! Temporary folders that vanish with the test.
//!
//! Owns: where they stand and when they go. `NARU_KEEP_TEMP=1` keeps and prints them.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// A folder that is removed on drop, also when the test panics.
#[derive(Debug)]
pub struct Folder {
    inside: Option<tempfile::TempDir>,
    path: PathBuf,
}

impl Folder {
    /// Makes `<temp>/naru-<what>-<random>`, closed to other users. Paths stay short: a Unix socket inside must fit in 108 bytes.
    pub fn new(what: &str) -> Self {
        let inside = tempfile::Builder::new()
            .prefix(&format!("naru-{what}-"))
            .rand_bytes(6)
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .expect("make a temporary folder");
        let path = inside.path().to_path_buf();
        if std::env::var_os("NARU_KEEP_TEMP").is_some() {
            eprintln!("kept: {}", path.display());
            let path = inside.keep();
            return Self { inside: None, path };
        }
        Self { inside: Some(inside), path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path below it.
    pub fn join(&self, below: impl AsRef<Path>) -> PathBuf {
        self.path.join(below)
    }

    /// Writes a text file below it, making the folders on its way.
    pub fn write(&self, below: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.join(below);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("make a folder in the temporary folder");
        }
        std::fs::write(&path, text).expect("write into the temporary folder");
        path
    }

    /// Whether it goes on drop.
    pub fn is_temporary(&self) -> bool {
        self.inside.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_owner() {
        let folder = Folder::new("temp");
        let path = folder.write("a/b.txt", "x");
        assert!(path.exists());
        let temporary = folder.is_temporary();
        drop(folder);
        assert_eq!(path.exists(), !temporary);
    }
}
