//! A full scan of a table with many deletion vectors, beside the same table freshly compacted.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::{
    report, wire,
    world::{World, files, rows},
};

/// The share of rows that is updated, in so many transactions, while naru flushes as it does by default.
const UPDATED_PERCENT: u64 = 10;
const TRANSACTIONS: u64 = 100;
/// The fastest of these counts.
const REPEATS: u32 = 5;
const QUERY: &str = "SELECT status, count(*), sum(amount), max(note) FROM shop.orders GROUP BY status";

/// Runs and prints.
pub async fn run() {
    let rows = rows(2_000_000);
    let mut world = World::new().await;
    world.orders(rows).await;
    world.up();
    world.wait_live("orders").await;
    // Upkeep would join the files of the flushes meanwhile, as it should; here it is to be seen what they cost.
    world.stop();
    world.rewrite_nothing();
    world.up();
    world.wait_live("orders").await;
    let every = 100 / UPDATED_PERCENT;
    for part in 0..TRANSACTIONS {
        world
            .sql(&format!(
                "UPDATE orders SET note = note || '!' WHERE id % {every} = 0 AND id / {every} % {TRANSACTIONS} = {part}"
            ))
            .await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let end = world.position().await;
    world.sql("SELECT pg_logical_emit_message(true, 'bench', 'end')").await;
    world.wait_acknowledged(&end).await;
    let (data_files, _) = files(world.table("orders"), "parquet");
    let (vectors, _) = files(world.table("orders"), "bin");
    let (log_files, log_bytes) = files(world.table("orders").join("_delta_log"), "json");
    let naru = wire::connect(&world).await;
    let updated = fastest(&naru).await;
    world.naru(&["compact", "shop.orders"]);
    let compacted = fastest(&naru).await;

    println!("{rows} rows, {UPDATED_PERCENT} % of them updated in {TRANSACTIONS} transactions");
    report::line("as it is", updated, Some(rows));
    report::line("freshly compacted", compacted, Some(rows));
    report::ratio("as it is / compacted", updated.as_secs_f64() / compacted.as_secs_f64(), "<= 1.3");
    report::fact("Parquet files", data_files);
    report::fact("deletion vector files", vectors);
    report::fact("commits in the log", log_files);
    report::fact("KB of log", log_bytes / 1000);
    world.stop();
}

async fn fastest(naru: &Client) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..REPEATS {
        let began = Instant::now();
        naru.simple_query(QUERY).await.expect("the scan");
        best = best.min(began.elapsed());
    }
    best
}
