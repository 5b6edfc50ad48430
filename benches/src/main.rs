//! `cargo xtask bench NAME`: naru beside a peer that does the least possible, on the same data in the same run.
//!
//! Owns: what is measured and how it is printed. Never judges alone: a ratio says more than a number of this machine.
//! Everything is measured from outside, on the release binary, as a user would see it; only what needs a hundred million
//! rows or a whole day (`flush`, `day`) drives the lake itself, see [`mirror`], and `log` the topic log.
//! Read next: [`world`] for the set-up, then one file per bench. `docs/benchmarks.md` holds the results.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod day;
mod flush;
mod freshness;
mod grpc;
mod intake;
mod jetstream;
mod load;
mod log;
mod memory;
mod mirror;
#[path = "../../crates/server/tests/pubsub/generated/clients.rs"]
mod pubsub_clients;
mod replay;
mod report;
mod rows;
mod scan;
mod snapshot;
mod wire;
mod world;

use std::process::ExitCode;

const HELP: &str = "\
snapshot   copy of a table of 8 columns    against COPY (FORMAT binary) to /dev/null, one connection each
replay     an update of every row, in one transaction and in 2,000
                                           against pg_recvlogical to /dev/null from the same position
freshness  2,000 changes a second, commit to visible in SQL
                                           against a native logical subscriber in the same run
scan       full scan after 10 % of the rows were updated
                                           against the same after compaction
memory     peak resident memory while copying, and through one large transaction
flush      a flush of 10,000 random changed keys as the table grows to 100 times its rows
                                           against itself at the first size
day        a simulated day at 2,000 updates a second: files and log
log        events of 400 bytes appended to the topic log from 32 writers, each batch durable before its answer
                                           against a bare group commit into a preallocated file
rows       events of JSON to Parquet, every row checked, on one core
                                           against arrow-json, which checks nothing
intake     the same events through HTTP and through Pub/Sub's gRPC, and from the answer to SQL
                                           against the disk's own fdatasync
load       http|grpc ADDRESS TOPIC [--connections N] [--batch N] [--bytes N] [--rate N] [--seconds N]
                                           no bench: sends events to a naru that runs

NARU_BENCH_ROWS sets the rows of the table (default 2000000; memory: 10000000; flush, day: 1000000, the first size;
log: 1000000 events; rows: 200000 events; intake: the seconds of each load, 10).
NARU_BENCH_HOURS sets the length of the day (default 24).
";

#[tokio::main]
async fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    match name.as_str() {
        "snapshot" => snapshot::run().await,
        "replay" => replay::run().await,
        "freshness" => freshness::run().await,
        "scan" => scan::run().await,
        "memory" => memory::run().await,
        "flush" => flush::run().await,
        "day" => day::run().await,
        "log" => log::run().await,
        "rows" => rows::run().await,
        "intake" => intake::run().await,
        "load" => return load_word().await,
        _ => {
            print!("{HELP}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Sends to a naru that somebody else has started.
async fn load_word() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(2).collect();
    let Some(plan) = load::plan(&words) else {
        print!("{HELP}");
        return ExitCode::from(2);
    };
    let sent = load::send(&plan, 0, None).await;
    report::line("sent and acknowledged", sent.took, Some(sent.events));
    report::fact("refused requests", sent.refused);
    for percent in [50, 99] {
        report::line(&format!("a request to its answer, p{percent}"), report::percentile(&sent.waits, percent), None);
    }
    ExitCode::SUCCESS
}
