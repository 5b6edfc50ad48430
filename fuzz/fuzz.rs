//! One short run per target. `NARU_FUZZ_SECONDS` makes it longer, `NARU_SEED` replays it.

use naru_fuzz::{rows, search, targets};

#[test]
fn replication_messages_never_panic() {
    search(&targets::PGOUTPUT);
}

#[test]
fn changes_of_any_bytes_never_panic() {
    search(&targets::CHANGES);
}

#[test]
fn copy_streams_never_panic() {
    search(&targets::COPY);
}

#[test]
fn source_urls_never_panic() {
    search(&targets::URL);
}

#[test]
fn project_folders_never_panic() {
    search(&targets::FOLDER);
}

#[test]
fn rows_of_any_bytes_never_panic_and_leave_nothing_behind() {
    search(&rows::ROWS);
}
