//! A Node.js with other people's clients, to talk to naru with code that is not ours.
//!
//! Owns: a folder of npm packages per list, made once per machine. Never changes the system's packages.

use std::{ffi::OsStr, fs, path::PathBuf, process::Command};

use crate::packages::{made_once, run_or_stop};

/// A folder whose `node_modules` holds `packages` (npm's spelling, `name@version`), made on first use.
pub fn folder(packages: &[&str]) -> PathBuf {
    made_once("node", packages, |folder, wanted| {
        fs::create_dir_all(folder).expect("a folder for npm packages");
        fs::write(folder.join("package.json"), "{\"private\": true}\n").expect("a package.json");
        let install = ["install", "--no-audit", "--no-fund", "--loglevel=error", "--save-exact"];
        run_or_stop(Command::new("npm").args(install).args(wanted).current_dir(folder));
    })
}

/// Runs `script` (a CommonJS text: `require` finds `packages`) with `arguments`; gives its standard output.
pub fn run<S: AsRef<OsStr>>(packages: &[&str], script: &str, arguments: &[S]) -> String {
    run_or_stop(&mut command(packages, script, arguments))
}

/// The same as a command that the caller starts, with an environment of its own.
pub fn command<S: AsRef<OsStr>>(packages: &[&str], script: &str, arguments: &[S]) -> Command {
    let mut command = Command::new("node");
    command.arg("-e").arg(script).arg("--").args(arguments).current_dir(folder(packages));
    command
}
