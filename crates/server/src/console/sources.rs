//! The hash of the console's sources, as `console/build/sources.mjs` writes it into a build.
//!
//! Owns: which files are sources, and whether a build is of them. `build.rs` uses this file too, so it knows nothing of
//! this crate.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

const FILES: &[&str] = &["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"];
const FOLDERS: &[&str] = &["build", "public", "src"];

/// What there is of a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// A build of these sources.
    Current,
    /// A build of other sources.
    Stale,
    /// No build.
    Missing,
}

/// What the folder `console/` holds.
pub fn build(console: &Path) -> Build {
    let Ok(built) = fs::read_to_string(console.join("dist/sources.sha256")) else { return Build::Missing };
    match hash(console) {
        Ok(hash) if hash == built.trim() => Build::Current,
        _ => Build::Stale,
    }
}

/// SHA-256 over `path NUL length NUL content` of every source by path, in hexadecimal; tests are no sources.
pub(super) fn hash(console: &Path) -> io::Result<String> {
    let mut paths: Vec<String> = FILES.iter().map(|file| (*file).to_owned()).collect();
    for folder in FOLDERS {
        walk(console, folder, &mut paths)?;
    }
    paths.retain(|path| !is_test(path));
    paths.sort_unstable();
    let mut hash = Sha256::new();
    for path in paths {
        let content = fs::read(console.join(PathBuf::from(&path)))?;
        for part in [path.as_bytes(), b"\0", content.len().to_string().as_bytes(), b"\0", &content] {
            hash.update(part);
        }
    }
    Ok(hex::encode(hash.finalize()))
}

fn walk(console: &Path, folder: &str, into: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(console.join(folder))? {
        let entry = entry?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            walk(console, &path, into)?;
        } else {
            into.push(path);
        }
    }
    Ok(())
}

/// `name.test.ts` and the like.
fn is_test(path: &str) -> bool {
    let mut parts = path.rsplit('.');
    let ending = parts.next().unwrap_or_default();
    parts.next() == Some("test") && ending.bytes().all(|byte| byte.is_ascii_lowercase())
}
