//! Random histories of a real PostgreSQL against the real `naru up`, judged by a reference model at every commit.
//!
//! Owns: the promises, and what happens when. Three writers' transactions interleave; after each commit the model knows
//! its position and the hash of every table. Every version written to the lake and every cut that queries see is
//! compared with the model at its own position, and at intervals the model and the lake with the source itself.
//! A failure prints the seed; `NARU_SEED` replays it, `NARU_MODEL_STEPS` makes histories longer, `NARU_MODEL_SHOW`
//! prints the statements.
//! Read next: `workload` and `definitions` for what is written, `history` for the model, `live` and `versions` for the
//! judges, `stage` for how naru is run and broken.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::format_collect,
    clippy::assigning_clones,
    missing_docs
)]

mod definitions;
mod faults;
mod history;
mod live;
mod model;
mod partitions;
mod places;
mod stage;
mod stands;
mod table;
mod value;
mod versions;
mod workload;
mod world;

use model::{Model, Settings};

/// Steps of a short history.
const STEPS: u32 = 160;

/// Places of a short run.
const PLACES_FEW: usize = 3;

fn steps() -> u32 {
    std::env::var("NARU_MODEL_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(STEPS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lake_equals_the_model_at_every_commit_through_a_random_history_with_kills() {
    Model::run(Settings { announced: true, steps: steps(), faults: true }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_twice_at_any_place_the_lake_still_equals_the_model_at_every_commit() {
    let few = if steps() > STEPS { faults::PLACES.len() } else { PLACES_FEW };
    Model::run_places(Settings { announced: true, steps: steps(), faults: false }, few).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_event_trigger_only_columns_of_unnoticed_definitions_wait_and_all_else_is_exact_at_every_commit() {
    Model::run(Settings { announced: false, steps: steps(), faults: false }).await;
}
