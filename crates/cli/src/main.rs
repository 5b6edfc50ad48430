//! The `naru` binary: words, settings, wiring.
//!
//! Owns: the command line, what is printed where (data on standard output, talk on standard error), exit statuses
//! (0 done, 1 failed, 2 misused), and the wiring of the rooms. Never decides what a room decides.
//! Read next: [`words`] for commands, [`running`] for what `naru up` runs.

mod adapters;
mod demo;
mod failure;
mod home;
mod logins;
mod remote;
mod running;
mod words;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = words::Arguments::parse();
    naru_base::telemetry::init(arguments.log_filter());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("naru could not start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(words::run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.print(),
    };
    // Background work that nobody waits for must not hold up the shell's prompt.
    runtime.shutdown_background();
    code
}
