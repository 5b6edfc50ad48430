//! One short run per target. `NARU_FUZZ_SECONDS` makes it longer, `NARU_SEED` replays it.

use naru_fuzz::{intake, pubsub, rows, search, sqs, targets};

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

#[test]
fn bodies_of_json_are_taken_apart_as_json_says() {
    search(&intake::SPLIT);
}

#[test]
fn events_of_mixpanel_never_panic() {
    search(&intake::MIXPANEL);
}

#[test]
fn events_of_segment_never_panic() {
    search(&intake::SEGMENT);
}

#[test]
fn cloudevents_of_any_bytes_are_json() {
    search(&intake::CLOUDEVENTS);
}

#[test]
fn logs_in_protobuf_never_panic() {
    search(&intake::OTLP);
}

#[test]
fn logs_in_json_never_panic() {
    search(&intake::OTLP_JSON);
}

#[test]
fn messages_of_queues_never_panic() {
    search(&sqs::SQS);
}

#[test]
fn filters_of_subscriptions_never_panic() {
    search(&pubsub::FILTER);
}

#[test]
fn requests_of_pubsub_over_rest_never_panic() {
    search(&pubsub::REST);
}

#[test]
fn schemas_of_any_text_never_panic() {
    search(&pubsub::SCHEMA);
}

#[test]
fn messages_of_any_bytes_are_checked_without_harm() {
    search(&pubsub::MESSAGE);
}
