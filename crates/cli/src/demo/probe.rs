//! How fresh queries are: from a commit at the source to its row in a query's answer.
//!
//! Owns: writing numbered heartbeats to the shop and looking for them by SQL, as a person would. Never looks into the
//! engine.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arrow::{array::AsArray as _, datatypes::Int64Type};
use naru_access::Principal;
use naru_warehouse::{SessionOptions, Warehouse};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::shop;
use crate::failure::Failure;

/// Pause between two heartbeats.
const EVERY: Duration = Duration::from_millis(200);
/// A heartbeat that is not seen for so long counts as this slow.
const LATE: Duration = Duration::from_secs(30);

/// A running probe.
pub struct Probe {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Duration>>>,
    task: JoinHandle<()>,
}

impl Probe {
    /// Starts it.
    pub async fn start(url: &str, warehouse: Warehouse) -> Result<Self, Failure> {
        let client = shop::connect(url).await?;
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, taken) = (stop.clone(), seen.clone());
        let task = tokio::spawn(async move {
            let mut beat = 0_i64;
            while !stopped.load(Ordering::Relaxed) {
                beat += 1;
                if let Err(error) = client.execute("UPDATE heartbeats SET beat = $1 WHERE id = 1", &[&beat]).await {
                    tracing::warn!(%error, "a heartbeat was refused");
                    break;
                }
                let committed = Instant::now();
                while newest(&warehouse).await < beat && committed.elapsed() < LATE {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                taken.lock().push(committed.elapsed());
                tokio::time::sleep(EVERY).await;
            }
        });
        Ok(Self { stop, seen, task })
    }

    /// The newest measurement.
    pub fn latest(&self) -> Option<Duration> {
        self.seen.lock().last().copied()
    }

    /// Stops it and gives all measurements, sorted.
    pub async fn stop(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        if self.task.await.is_err() {
            tracing::warn!("the probe ended badly");
        }
        let mut all = self.seen.lock().clone();
        all.sort();
        all
    }
}

/// The newest heartbeat that a query sees; -1 when the query fails.
async fn newest(warehouse: &Warehouse) -> i64 {
    let answer = async {
        let session = warehouse.session(SessionOptions::of(Principal::Project))?;
        session.run("SELECT MAX(beat) FROM shop.heartbeats").await?.collect().await
    };
    match answer.await {
        Ok(batches) => batches
            .first()
            .filter(|batch| batch.num_rows() == 1)
            .and_then(|batch| batch.column(0).as_primitive_opt::<Int64Type>().map(|column| column.value(0)))
            .unwrap_or(-1),
        Err(error) => {
            tracing::warn!(problem = %error.problem(), "the probe's query failed");
            -1
        }
    }
}
