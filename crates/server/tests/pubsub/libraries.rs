//! Google's own client libraries, as released, with `PUBSUB_EMULATOR_HOST` set and nothing else.

use std::process::Command;

use naru_testkit::{node, python};

use crate::world::{NODE, PYTHON, World, ends_well};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pubsub");

async fn in_python(world: &World, part: &str) -> String {
    let interpreter = tokio::task::spawn_blocking(|| python::venv(PYTHON)).await.unwrap();
    let mut command = Command::new(interpreter);
    command.arg(format!("{SCRIPTS}/client.py")).arg(part).env("PUBSUB_EMULATOR_HOST", world.address.to_string());
    ends_well(command).await
}

async fn in_node(world: &World, part: &str) -> String {
    let part = part.to_owned();
    let script = std::fs::read_to_string(format!("{SCRIPTS}/client.cjs")).unwrap();
    let made = tokio::task::spawn_blocking(move || node::command(NODE, &script, &[part])).await;
    let mut command = made.unwrap();
    command.env("PUBSUB_EMULATOR_HOST", world.address.to_string());
    ends_well(command).await
}

macro_rules! parts {
    ($run:ident, $($name:ident: $part:literal),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let mut world = World::new().await;
            assert_eq!($run(&world, $part).await.trim().lines().last(), Some("done"));
            world.stop().await;
        })+
    };
}

parts! {in_python,
    python_publishes_and_pulls: "pull",
    python_streams_nacks_and_gets_it_again: "stream",
    python_keeps_order_over_redelivery: "order",
    python_acknowledges_exactly_once: "exactly_once",
    python_sends_what_fails_to_a_dead_letter_topic: "dead_letter",
    python_filters_seeks_and_takes_snapshots: "seek",
    python_lists_and_changes_what_it_made: "admin",
    python_uses_schemas: "schema",
}

parts! {in_node,
    node_publishes_streams_and_nacks: "stream",
    node_keeps_order: "order",
    node_acknowledges_exactly_once: "exactly_once",
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_goes_on_after_a_restart_of_naru_and_nothing_is_lost() {
    let mut world = World::new().await;
    world.subscribed("restart", |_| {}).await;
    let interpreter = tokio::task::spawn_blocking(|| python::venv(PYTHON)).await.unwrap();
    let mut command = Command::new(interpreter);
    command.arg(format!("{SCRIPTS}/client.py")).arg("collect").env("PUBSUB_EMULATOR_HOST", world.address.to_string());
    let client = tokio::spawn(ends_well(command));
    for round in 0..3 {
        let texts: Vec<String> = (0..10).map(|n| format!("{}", round * 10 + n)).collect();
        world.publish("restart", &texts.iter().map(String::as_str).collect::<Vec<_>>(), "").await;
        // The stream is open once it has acknowledged something; from then on it must survive.
        while round == 0 && world.subscriptions.get("restart").unwrap().backlog() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        world.restart().await;
    }
    assert_eq!(client.await.unwrap().trim().lines().last(), Some("done"));
    world.stop().await;
}
