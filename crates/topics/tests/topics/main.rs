//! Topics as a whole: from the log into tables, what a restart does, and what an edited file does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod compacting;
mod days;
mod declared;
mod full_disk;
mod letters;
mod lost;
mod rows;
mod subscriptions;
mod world;
