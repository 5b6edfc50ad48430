//! Folders of other people's packages, one per list, made once per machine and kept in naru's cache.
//!
//! Owns: the folder's name, its lock and the mark that it is whole. Never knows what installs the packages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use xxhash_rust::xxh3::xxh3_64;

use crate::cluster::{cache, locked};

/// The folder of `kind` with `packages`; `make` fills it where there is none, and is given the packages in order.
pub(crate) fn made_once(kind: &str, packages: &[&str], make: impl FnOnce(&Path, &[&str])) -> PathBuf {
    let mut wanted: Vec<&str> = packages.to_vec();
    wanted.sort_unstable();
    let list = wanted.join("\n");
    let folder = cache().join(format!("{kind}-{:016x}", xxh3_64(list.as_bytes())));
    let ready = folder.join("ready");
    if ready.exists() {
        return folder;
    }
    locked(&folder.with_extension("lock"), || {
        if ready.exists() {
            return;
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("remove a half-made folder of packages");
        }
        make(&folder, &wanted);
        fs::write(&ready, list).expect("mark the packages as whole");
    });
    folder
}

/// Runs a command and gives its standard output; stops the test with both outputs when it fails.
pub(crate) fn run_or_stop(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
