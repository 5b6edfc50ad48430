//! Peak resident memory while a large table is copied, and while one transaction changes all of it.

use crate::{
    report,
    world::{World, rows},
};

/// Runs and prints.
pub async fn run() {
    let rows = rows(10_000_000);
    let mut world = World::new().await;
    world.orders(rows).await;
    world.up();
    world.wait_live("orders").await;
    println!("{rows} rows, 8 columns; reach: <= 512 MB each");
    report::fact("peak while copying, MB", world.memory_peak_mb());

    world.sql("UPDATE orders SET amount = amount + 1").await;
    let end = world.position().await;
    world.sql("SELECT pg_logical_emit_message(true, 'bench', 'end')").await;
    let took = world.wait_acknowledged(&end).await;
    report::fact("peak through one transaction of all rows, MB", world.memory_peak_mb());
    report::line("that transaction: commit to acknowledged", took, Some(rows));
    world.stop();
}

/// Highest resident memory of this process so far, in MB.
pub fn own_peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) / 1024
}
