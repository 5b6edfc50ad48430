//! `cargo xtask WORD`: this project's own tasks.
//!
//! Owns: the words, and what each runs. Never does: builds by itself; it calls cargo as a person would.
//! Read next: `checks` for what `cargo xtask test` runs, `system` for what it installs.

mod checks;
mod console;
mod step;
mod system;
mod tally;

use std::process::ExitCode;

use step::{Failure, Step};
use system::Need;

const HELP: &str = "\
cargo xtask test [FILTER]     install what is missing, then run every check and every test;
                              with FILTER only the tests whose name contains it
cargo xtask console           check, test and build the console; naru then serves it
cargo xtask demo [--profile dev] [-- ARGS]
                              build naru (release) and run `naru demo ARGS`
cargo xtask bench NAME [ARGS] build the benches (release) and run one; without NAME lists them
cargo xtask load http|grpc ADDRESS TOPIC [OPTIONS]
                              send events to a naru that runs; OPTIONS as `cargo xtask bench` lists them
cargo xtask fuzz [SECONDS]    feed mutated input to every parser of outside input (default 60)
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test"] => checks::everything(),
        ["test", filter] => checks::filtered(filter),
        ["console"] => console::build(),
        ["demo", arguments @ ..] => demo(arguments),
        ["bench", arguments @ ..] => bench(arguments),
        ["load", arguments @ ..] => load(arguments),
        ["fuzz"] => fuzz("60"),
        ["fuzz", seconds] => fuzz(seconds),
        [] | ["help" | "--help" | "-h", ..] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("unknown words: {}\n\n{HELP}", words.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(reason)) => {
            if !reason.is_empty() {
                eprintln!("{reason}");
            }
            ExitCode::FAILURE
        }
    }
}

fn demo(arguments: &[&str]) -> Result<(), Failure> {
    let (profile, arguments) = match arguments {
        ["--profile", profile, rest @ ..] => (*profile, rest),
        _ => ("release", arguments),
    };
    let arguments = arguments.strip_prefix(&["--"]).unwrap_or(arguments);
    system::provide(&[Need::Compiler, Need::Postgres])?;
    console::build()?;
    if profile == "release" {
        eprintln!("building the release binary: the first time about 25 minutes on 2 cores, then seconds");
    }
    let build = ["build", "--profile", profile, "--package", "naru"];
    Step::new("build naru").cargo(&build)?;
    let run = ["run", "--quiet", "--profile", profile, "--package", "naru", "--", "demo"];
    Step::new("naru demo").cargo(&[&run, arguments].concat())
}

fn bench(arguments: &[&str]) -> Result<(), Failure> {
    let peers: &[Need] = if arguments.first() == Some(&"intake") { &[Need::Nats] } else { &[] };
    system::provide(&[&[Need::Compiler, Need::Postgres], peers].concat())?;
    Step::new("build naru").cargo(&["build", "--release", "--package", "naru"])?;
    let run = ["run", "--release", "--package", "naru-benches", "--"];
    Step::new("bench").cargo(&[&run, arguments].concat())
}

fn load(arguments: &[&str]) -> Result<(), Failure> {
    system::provide(&[Need::Compiler])?;
    let run = ["run", "--release", "--package", "naru-benches", "--", "load"];
    Step::new("load").cargo(&[&run, arguments].concat())
}

fn fuzz(seconds: &str) -> Result<(), Failure> {
    if seconds.parse::<u32>().is_err() {
        return Err(Failure(format!("how long to fuzz is a whole number of seconds, not {seconds:?}")));
    }
    system::provide(&[Need::Compiler])?;
    Step::new("fuzz").with("NARU_FUZZ_SECONDS", seconds).cargo(&["test", "--package", "naru-fuzz", "--", "--nocapture"])
}
