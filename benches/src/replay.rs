//! Catching up after an update of every row, beside a reader that throws the stream away.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    report,
    world::{World, rows},
};

/// Small transactions of the second part.
const TRANSACTIONS: u64 = 2_000;

/// Runs and prints.
pub async fn run() {
    let rows = rows(2_000_000);
    let mut world = World::new().await;
    world.orders(rows).await;
    world.up();
    world.wait_live("orders").await;
    for (what, transactions) in [("one transaction", 1), ("2,000 transactions", TRANSACTIONS)] {
        // naru is away while the work is done, so that both begin with the whole of it before them.
        world.stop();
        let publications = world.value("SELECT string_agg(pubname, ',') FROM pg_publication").await;
        world.sql("SELECT pg_create_logical_replication_slot('peer', 'pgoutput')").await;
        update(&world, rows, transactions).await;
        let end = world.position().await;
        let peer = receive_to_nowhere(&world, &publications, &end);
        world.sql("SELECT pg_drop_replication_slot('peer')").await;

        world.up();
        world.wait_streaming().await;
        let began = Instant::now();
        world.wait_acknowledged(&end).await;
        let mine = began.elapsed();
        println!("{rows} rows updated in {what}");
        report::line("pg_recvlogical to /dev/null", peer, Some(rows));
        report::line("naru: stream opened to last commit", mine, Some(rows));
        report::ratio("naru / pg_recvlogical", mine.as_secs_f64() / peer.as_secs_f64(), "<= 1.25");
        report::fact("peak resident memory, MB", world.memory_peak_mb());
    }
    world.stop();
}

async fn update(world: &World, rows: u64, transactions: u64) {
    let each = rows.div_ceil(transactions);
    for part in 0..transactions {
        let (from, to) = (part * each + 1, (part + 1) * each);
        world.sql(&format!("UPDATE orders SET amount = amount + 1 WHERE id BETWEEN {from} AND {to}")).await;
    }
    // Something after the end, so that a reader told to stop there sees that it has passed it.
    world.sql("SELECT pg_logical_emit_message(true, 'bench', 'end')").await;
    world.sql("SELECT pg_switch_wal()").await;
}

fn receive_to_nowhere(world: &World, publications: &str, end: &str) -> Duration {
    let began = Instant::now();
    let status = Command::new(world.server.binaries().join("pg_recvlogical"))
        .args(["-d", &world.server.url(), "-S", "peer", "--start", "--no-loop", "-f", "/dev/null", "--endpos", end])
        .args(["-o", "proto_version=2", "-o", "streaming=on", "-o", "messages=true", "-o", "binary=true"])
        .args(["-o", &format!("publication_names={publications}")])
        .stdout(Stdio::null())
        .status()
        .expect("run pg_recvlogical");
    assert!(status.success(), "pg_recvlogical failed");
    began.elapsed()
}
