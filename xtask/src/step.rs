//! One command of a task, with its name before and its time after.
//!
//! Owns: how a step is announced, run and timed. Never decides which steps run.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use crate::tally::Tally;

/// Why a task failed, for the person at the terminal. Empty when the step has said it itself.
#[derive(Debug)]
pub struct Failure(pub String);

/// A named command with extra environment.
#[derive(Debug)]
pub struct Step {
    name: &'static str,
    environment: Vec<(&'static str, String)>,
}

impl Step {
    /// A step without extra environment.
    pub fn new(name: &'static str) -> Self {
        Self { name, environment: Vec::new() }
    }

    /// Adds a variable.
    pub fn with(mut self, variable: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((variable, value.into()));
        self
    }

    /// Runs cargo with these arguments; its output goes where ours goes.
    pub fn cargo(self, arguments: &[&str]) -> Result<(), Failure> {
        self.run("cargo", arguments)
    }

    /// Runs any program.
    pub fn run(self, program: &str, arguments: &[&str]) -> Result<(), Failure> {
        let began = self.announce(program, arguments);
        let status = self.command(program, arguments).status().map_err(|error| cannot_start(program, &error))?;
        eprintln!("== {}: {} s", self.name, began.elapsed().as_secs());
        if status.success() { Ok(()) } else { Err(Failure(format!("{} failed ({status})", self.name))) }
    }

    /// Runs cargo, passes its output on, and counts the tests its summaries name.
    pub fn cargo_tests(self, arguments: &[&str]) -> Result<Tally, Failure> {
        let began = self.announce("cargo", arguments);
        let mut child = self
            .command("cargo", arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| cannot_start("cargo", &error))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let reader = thread::spawn(move || count(out, std::io::stdout()));
        let mut tally = count(err, std::io::stderr());
        tally.add(&reader.join().unwrap_or_default());
        let status = child.wait().map_err(|error| cannot_start("cargo", &error))?;
        eprintln!("== {}: {} s", self.name, began.elapsed().as_secs());
        if !status.success() && tally.failed == 0 {
            // Nothing ran to the end of a summary: it did not compile, or the runner itself failed.
            tally.failed = 1;
        }
        Ok(tally)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments);
        for (variable, _) in std::env::vars_os().filter(|(variable, _)| describes_xtask(variable)) {
            command.env_remove(variable);
        }
        for (variable, value) in &self.environment {
            command.env(variable, value);
        }
        command
    }

    fn announce(&self, program: &str, arguments: &[&str]) -> Instant {
        eprintln!("== {}: {program} {}", self.name, arguments.join(" "));
        Instant::now()
    }
}

/// Whether cargo set this variable to describe xtask itself. Build scripts (ring's, for one) watch such variables:
/// passed on, they would make cargo build ring and everything above it again, DataFusion included.
fn describes_xtask(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.starts_with(start))
        || ["CARGO_PRIMARY_PACKAGE", "CARGO_BIN_NAME", "CARGO_CRATE_NAME", "OUT_DIR"].contains(&name.as_ref())
}

fn cannot_start(program: &str, error: &std::io::Error) -> Failure {
    Failure(format!("cannot run {program}: {error}"))
}

fn count(from: Option<impl Read>, mut to: impl Write) -> Tally {
    let mut tally = Tally::default();
    let Some(from) = from else { return tally };
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        // A closed terminal must not end the count.
        let _unseen = to.write_all(&line).and_then(|()| to.write_all(b"\n"));
        tally.read(&String::from_utf8_lossy(&line));
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_sees_what_a_person_set_and_nothing_about_xtask() {
        for own in ["CARGO_MANIFEST_DIR", "CARGO_PKG_VERSION_MAJOR", "CARGO_BIN_NAME"] {
            assert!(describes_xtask(OsStr::new(own)), "{own}");
        }
        for set in ["CARGO_TARGET_DIR", "CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO", "PATH"] {
            assert!(!describes_xtask(OsStr::new(set)), "{set}");
        }
    }
}
