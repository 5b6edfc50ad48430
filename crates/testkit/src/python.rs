//! A Python with other people's readers, to read our tables with code that is not ours.
//!
//! Owns: a virtual environment per list of packages, made once per machine. Never changes the system's Python.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use xxhash_rust::xxh3::xxh3_64;

use crate::cluster::{cache, locked};

/// Readers of Delta tables that share no code with naru's scan.
pub const READERS: &[&str] = &["polars==2.1.0", "deltalake==1.6.6", "pyarrow==26.0.1"];

/// Clients of the Postgres wire.
pub const CLIENTS: &[&str] = &["psycopg[binary]==3.3.9", "sqlalchemy==2.1.9", "asyncpg==0.32.0", "pg8000==1.31.6"];

/// The `python` of an environment with `packages` (pip's spelling), made on first use and kept in naru's cache.
pub fn venv(packages: &[&str]) -> PathBuf {
    let mut wanted: Vec<&str> = packages.to_vec();
    wanted.sort_unstable();
    let list = wanted.join("\n");
    let folder = cache().join(format!("venv-{:016x}", xxh3_64(list.as_bytes())));
    let python = folder.join("bin/python");
    let ready = folder.join("ready");
    if ready.exists() {
        return python;
    }
    locked(&folder.with_extension("lock"), || {
        if ready.exists() {
            return;
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("remove a half-made Python environment");
        }
        run_or_stop(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        run_or_stop(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(&wanted));
        fs::write(&ready, list).expect("mark the Python environment as ready");
    });
    python
}

/// Runs `script` (Python source) with `arguments` in an environment of `packages`; returns its standard output.
pub fn run<S: AsRef<OsStr>>(packages: &[&str], script: &str, arguments: &[S]) -> String {
    run_or_stop(Command::new(venv(packages)).arg("-c").arg(script).args(arguments))
}

/// Runs a script file instead of a text.
pub fn run_file<S: AsRef<OsStr>>(packages: &[&str], script: &Path, arguments: &[S]) -> String {
    run_or_stop(Command::new(venv(packages)).arg(script).args(arguments))
}

fn run_or_stop(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
