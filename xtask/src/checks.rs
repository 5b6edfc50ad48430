//! What `cargo xtask test` runs, in the order in which a mistake is found soonest.
//!
//! Owns: the list of checks and their one-line result. Never installs: see `system`.

use std::time::Instant;

use crate::{
    console,
    step::{Failure, Step},
    system::{self, Need},
    tally::Tally,
};

/// Every check and every test. A failed check counts as one failed test and does not hide the others.
pub fn everything() -> Result<(), Failure> {
    let began = Instant::now();
    system::provide(&[Need::Compiler, Need::Postgres, Need::Python, Need::Node, Need::Browser, Need::Lints])?;
    let mut tally = Tally::default();
    // First, so that naru and its tests find the console that these sources make.
    note(&mut tally, console::build());
    check(&mut tally, Step::new("format"), &["fmt", "--all", "--check"]);
    check(
        &mut tally,
        Step::new("lints"),
        &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
    );
    check(&mut tally, Step::new("build naru"), &["build", "--package", "naru"]);
    tally.add(&tests(None)?);
    tally.add(&Step::new("examples in docs").cargo_tests(&[
        "test",
        "--workspace",
        "--doc",
        "--quiet",
        "--no-fail-fast",
    ])?);
    eprintln!("== all: {} s", began.elapsed().as_secs());
    conclude(tally)
}

/// Only the tests whose name contains `filter`.
pub fn filtered(filter: &str) -> Result<(), Failure> {
    system::provide(&[Need::Compiler, Need::Postgres, Need::Python, Need::Node, Need::Browser])?;
    let mut tally = Tally::default();
    check(&mut tally, Step::new("build naru"), &["build", "--package", "naru"]);
    tally.add(&tests(Some(filter))?);
    conclude(tally)
}

/// nextest where it is installed: one process per test, so a crash is one failure. Otherwise cargo's own runner.
fn tests(filter: Option<&str>) -> Result<Tally, Failure> {
    let mut arguments = if system::answers("cargo", &["nextest", "--version"]) {
        vec!["nextest", "run", "--workspace", "--no-fail-fast", "--status-level", "slow", "--no-tests", "pass"]
    } else {
        // Without `--tests`, cargo would run the doc examples here too, and they are a step of their own.
        vec!["test", "--workspace", "--tests", "--no-fail-fast"]
    };
    arguments.extend(filter);
    Step::new("tests").cargo_tests(&arguments)
}

fn check(tally: &mut Tally, step: Step, arguments: &[&str]) {
    note(tally, step.cargo(arguments));
}

fn note(tally: &mut Tally, outcome: Result<(), Failure>) {
    if let Err(Failure(reason)) = outcome {
        eprintln!("{reason}");
        tally.failed += 1;
    }
}

fn conclude(tally: Tally) -> Result<(), Failure> {
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed == 0 { Ok(()) } else { Err(Failure(String::new())) }
}
