//! Tidiness as a test: the rules of the house that a machine can check.
//!
//! Owns: the map of who may import whom, where each large library lives, what a file must look like, which licences
//! may enter, and the ratchet of exceptions. Never builds anything: it reads files and cargo's metadata.
//! Read next: `edges` for the map.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod edges;
mod files;
mod licences;
mod manifests;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The workspace's root folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Standard output of a cargo command in the workspace.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Files of the project, as paths from its root, without build output and what git ignores by name.
fn project_files() -> Vec<String> {
    const IGNORED: &[&str] = &[".git", "target", "node_modules", "dist", ".naru", "__pycache__", ".venv"];
    let mut folders = vec![root()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if IGNORED.contains(&name.as_str()) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path().strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

/// The text of a project file; empty for what is not text.
fn text(path: &str) -> String {
    fs::read(root().join(path)).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// What cannot be zero yet, by name, and how often it is allowed.
fn ratchet() -> BTreeMap<String, usize> {
    text("xtask/tests/tidy/ratchet.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, count)| (name.to_owned(), count.trim().parse().unwrap()))
        .collect()
}

/// Fails with every violation at once.
fn none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}
