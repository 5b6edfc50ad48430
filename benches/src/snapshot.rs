//! The copy of one table into the lake, beside the fastest way PostgreSQL has to give its rows to anyone.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    report,
    world::{World, files, rows},
};

/// Runs and prints.
pub async fn run() {
    let rows = rows(2_000_000);
    let mut world = World::new().await;
    world.orders(rows).await;
    let peer = copy_to_nowhere(&world);

    world.up();
    world.wait_copy_begins().await;
    let (began, cpu_before) = (Instant::now(), world.cpu());
    // The first commit with rows is the one that makes the whole copy visible.
    let (data, log) = (world.table("orders"), world.table("orders").join("_delta_log"));
    world
        .wait("the copy's commit", async |_| {
            let newest = format!("{:020}.json", files(log.clone(), "json").0.saturating_sub(1));
            std::fs::read_to_string(log.join(newest)).is_ok_and(|commit| commit.contains("\"add\""))
        })
        .await;
    let (mine, cpu) = (began.elapsed(), world.cpu().saturating_sub(cpu_before));

    println!("{rows} rows, 8 columns, one connection each");
    report::line("COPY (FORMAT binary) to /dev/null", peer, Some(rows));
    report::line("naru: first COPY to Delta commit", mine, Some(rows));
    report::ratio("rows/s of naru / rows/s of COPY", peer.as_secs_f64() / mine.as_secs_f64(), ">= 0.5, aim 0.7");
    report::fact("naru's CPU-seconds per million rows", format!("{:.2}", per_million(cpu, rows)));
    let (data_files, bytes) = files(data, "parquet");
    report::fact("files", data_files);
    report::fact("MB in the lake", bytes / 1_000_000);
    world.stop();
}

fn per_million(cpu: Duration, rows: u64) -> f64 {
    cpu.as_secs_f64() / report::decimal(rows) * 1_000_000.0
}

fn copy_to_nowhere(world: &World) -> Duration {
    // Twice: the first reads the table into the server's memory, as naru's own copy will find it.
    let mut took = Duration::ZERO;
    for _ in 0..2 {
        let began = Instant::now();
        let status = Command::new(world.server.binaries().join("psql"))
            .args([&world.server.url(), "-c", "COPY orders TO STDOUT (FORMAT binary)"])
            .stdout(Stdio::null())
            .status()
            .expect("run psql");
        assert!(status.success(), "COPY failed");
        took = began.elapsed();
    }
    took
}
