//! A Python with other people's readers, to read our tables with code that is not ours.
//!
//! Owns: a virtual environment per list of packages, made once per machine. Never changes the system's Python.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::packages::{made_once, run_or_stop};

/// Readers of Delta tables that share no code with naru's scan.
pub const READERS: &[&str] = &["polars==2.1.0", "deltalake==1.6.6", "pyarrow==26.0.1"];

/// Clients of the Postgres wire.
pub const CLIENTS: &[&str] = &["psycopg[binary]==3.3.9", "sqlalchemy==2.1.9", "asyncpg==0.32.0", "pg8000==1.31.6"];

/// The `python` of an environment with `packages` (pip's spelling), made on first use and kept in naru's cache.
pub fn venv(packages: &[&str]) -> PathBuf {
    let folder = made_once("venv", packages, |folder, wanted| {
        run_or_stop(Command::new("python3").args(["-m", "venv"]).arg(folder));
        run_or_stop(Command::new(folder.join("bin/python")).args(["-m", "pip", "install", "--quiet"]).args(wanted));
    });
    folder.join("bin/python")
}

/// Runs `script` (Python source) with `arguments` in an environment of `packages`; returns its standard output.
pub fn run<S: AsRef<OsStr>>(packages: &[&str], script: &str, arguments: &[S]) -> String {
    run_or_stop(Command::new(venv(packages)).arg("-c").arg(script).args(arguments))
}

/// Runs a script file instead of a text.
pub fn run_file<S: AsRef<OsStr>>(packages: &[&str], script: &Path, arguments: &[S]) -> String {
    run_or_stop(Command::new(venv(packages)).arg(script).args(arguments))
}
