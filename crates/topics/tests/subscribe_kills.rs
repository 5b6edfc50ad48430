//! What a killed process leaves of a subscription with exactly-once acknowledgements.
//!
//! The test starts itself again as a child that publishes, receives and acknowledges, and says what was answered; it is
//! killed while an acknowledgement is made durable, or at any moment. What was acknowledged is never given again; every
//! other event is given. `NARU_SUBSCRIBE_KILLS` scales the random kills (default 8).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use naru_project::Environment;
use naru_testkit::Failpoints;
use naru_topics::{
    Incoming, Topics,
    subscribe::{Confirmation, Limits, NewSubscription, Settings, Subscription, Subscriptions},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

const FOLDER: &str = "NARU_SUBSCRIBE_KILL_TEST_FOLDER";
const TOPIC: &str = "jobs";
const LIMITS: Limits = Limits {
    messages_max: 7,
    bytes_max: 1 << 20,
    outstanding_messages_max: 100,
    outstanding_bytes_max: 1 << 20,
    deadline_s: 60,
};

async fn open(folder: &Path) -> (Topics, Subscriptions, Subscription) {
    let (topics, _lake) = world::open(folder, &Environment::default()).await;
    let topic = match topics.get(TOPIC) {
        Some(topic) => topic,
        None => topics.make(TOPIC).await.unwrap(),
    };
    let all = Subscriptions::open(topics.clone()).await.unwrap();
    let subscription = if let Some(subscription) = all.get("watcher") {
        subscription
    } else {
        let settings = Settings { exactly_once: true, ..Settings::default() };
        let new = NewSubscription { name: "watcher".into(), settings, config: bytes::Bytes::new() };
        all.create(&topic, new).await.unwrap()
    };
    (topics, all, subscription)
}

fn say(word: &str, offset: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word} {offset}").unwrap();
    out.flush().unwrap();
}

/// Publishes, receives and acknowledges until it is killed.
async fn work(folder: &Path) {
    let (topics, _all, subscription) = open(folder).await;
    let topic = topics.get(TOPIC).unwrap();
    let publisher = tokio::spawn({
        let topics = topics.clone();
        async move {
            let event = Incoming { data: "work".into(), ordering_key: String::new(), attributes: Vec::new() };
            loop {
                let first = topics.publish(&topic, &vec![event.clone(); 5]).await.unwrap();
                say("published", first + 4);
            }
        }
    });
    let receiver = subscription.receiver();
    loop {
        let given = receiver.next(LIMITS).await.unwrap();
        for one in &given {
            say("given", one.event.offset);
        }
        let ids: Vec<_> = given.iter().map(|one| one.ack_id).collect();
        for (one, confirmation) in given.iter().zip(subscription.acknowledge(&ids).await) {
            if confirmation == Confirmation::Done {
                say("acknowledged", one.event.offset);
            }
        }
        assert!(!publisher.is_finished());
    }
}

/// Publishes, takes snapshots and seeks to them until it is killed.
async fn seek(folder: &Path) {
    let (topics, all, subscription) = open(folder).await;
    let topic = topics.get(TOPIC).unwrap();
    let receiver = subscription.receiver();
    let event = Incoming { data: "work".into(), ordering_key: String::new(), attributes: Vec::new() };
    loop {
        let first = topics.publish(&topic, &vec![event.clone(); 3]).await.unwrap();
        let given = receiver.next(LIMITS).await.unwrap();
        let ids: Vec<_> = given.iter().take(2).map(|one| one.ack_id).collect();
        subscription.acknowledge(&ids).await;
        subscription.modify(&given.iter().skip(2).map(|one| (one.ack_id, 0)).collect::<Vec<_>>());
        let name = format!("s{first}");
        let snapshot = all.take_snapshot(&name, &subscription, bytes::Bytes::new()).await.unwrap();
        let left = topics.log().bounds(topic.number()).end - subscription.backlog();
        say(&format!("snapped {name}"), left);
        // Back and forth, so that every seek says something else than the one before.
        let earlier = all.snapshots().into_iter().next().unwrap();
        for (to, wanted) in [(&earlier, None), (&snapshot, Some(left))] {
            say("seeking", wanted.unwrap_or(0));
            all.seek_to_snapshot(&subscription, to).await.unwrap();
            say("sought", topics.log().bounds(topic.number()).end - subscription.backlog());
        }
        if first > 60 {
            let oldest = all.snapshots().into_iter().next_back().unwrap();
            say(&format!("forgetting {}", oldest.name), 0);
            all.remove_snapshot(&oldest.name).await.unwrap();
            say(&format!("forgot {}", oldest.name), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_of_the_seek_test() {
    // Started by hand or by the test runner there is nothing to do.
    if let Ok(folder) = std::env::var(FOLDER) {
        seek(folder.as_ref()).await;
    }
}

/// Kills a child that seeks after so many lines, and says what it had said.
fn killed_while_it_seeks(folder: &Path, lines: usize) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_of_the_seek_test", "--nocapture"]).env(FOLDER, folder);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let said = |line: &String| {
        ["snapped ", "seeking ", "sought ", "forgetting ", "forgot "].iter().any(|w| line.starts_with(w))
    };
    let mut all = Vec::new();
    for line in out.lines().map_while(Result::ok).filter(said) {
        all.push(line);
        if all.len() == lines {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success(), "the child ended by itself: {all:?}");
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seek_and_a_snapshot_that_were_answered_hold_after_a_kill() {
    let folder = world::folder(&[]);
    let seed = std::env::var("NARU_SEED").map_or(7, |seed| seed.parse().unwrap());
    let mut random = StdRng::seed_from_u64(seed);
    let mut snapshots: BTreeMap<String, Option<u64>> = BTreeMap::new();
    for round in 0..6 {
        let said = killed_while_it_seeks(folder.path(), random.random_range(5..80));
        let number = |line: &String| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        for line in &said {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["snapped", name, _] => drop(snapshots.insert((*name).to_owned(), Some(number(line)))),
                // Whether it went is not known.
                ["forgetting", name, _] => drop(snapshots.insert((*name).to_owned(), None)),
                ["forgot", name, _] => drop(snapshots.remove(*name)),
                _ => {}
            }
        }
        let (topics, all, subscription) = open(folder.path()).await;
        let end = topics.log().bounds(topics.get(TOPIC).unwrap().number()).end;
        for (name, _) in snapshots.iter().filter(|(_, floor)| floor.is_some()) {
            assert!(all.snapshot(name).is_some(), "{round}: snapshot {name} was taken and is gone");
        }
        // The last answer, and what was asked after it: one of both holds.
        if let Some(at) = said.iter().rposition(|line| line.starts_with("sought")) {
            let after: Vec<&String> = said.iter().skip(at + 1).collect();
            let settled = number(&said[at]);
            let done = end - subscription.backlog();
            let moved = after.is_empty() && done >= settled || !after.is_empty();
            assert!(
                moved,
                "{round}: {done} of {end} are acknowledged, {settled} were after the last seek; then {after:?}"
            );
            if after.is_empty() {
                assert!(done <= settled + 2, "{round}: {done} of {end} after a seek to {settled}");
            }
        }
        for (name, floor) in snapshots.clone() {
            let (Some(floor), Some(snapshot)) = (floor, all.snapshot(&name)) else { continue };
            all.seek_to_snapshot(&subscription, &snapshot).await.unwrap();
            assert_eq!(end - subscription.backlog(), floor, "{round}: snapshot {name}");
        }
        all.stop().await;
        topics.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_of_the_kill_test() {
    // Started by hand or by the test runner there is nothing to do.
    if let Ok(folder) = std::env::var(FOLDER) {
        work(folder.as_ref()).await;
    }
}

/// What all children together said.
#[derive(Default)]
struct Said {
    acknowledged: BTreeSet<u64>,
    /// Given, and the process ended before it was heard what became of the acknowledgement.
    perhaps: BTreeSet<u64>,
    published_to: u64,
}

/// Runs a child until it is gone; kills it after so many lines. How many acknowledgements it was answered.
fn run(folder: &Path, faults: &Failpoints, kill_after: Option<usize>, said: &mut Said) -> usize {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_of_the_kill_test", "--nocapture"]).env(FOLDER, folder);
    command.env(Failpoints::VARIABLE, faults.value()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (mut lines, mut acknowledged, mut unanswered) = (0, 0, BTreeSet::new());
    // Lines are shorter than what a pipe takes at once: none is cut.
    for line in out.split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8(line).unwrap();
        let Some((word, offset)) = line.split_once(' ') else { continue };
        let Ok(offset) = offset.parse::<u64>() else { continue };
        match word {
            "published" => said.published_to = said.published_to.max(offset + 1),
            "given" => {
                assert!(!said.acknowledged.contains(&offset), "{offset} was acknowledged and given again");
                unanswered.insert(offset);
            }
            "acknowledged" => {
                unanswered.remove(&offset);
                said.acknowledged.insert(offset);
                acknowledged += 1;
            }
            _ => continue,
        }
        lines += 1;
        if kill_after == Some(lines) {
            child.kill().unwrap();
        }
    }
    assert!(unanswered.len() <= LIMITS.messages_max, "{unanswered:?} were given and not answered");
    said.perhaps.extend(unanswered);
    assert!(!child.wait().unwrap().success(), "the child ended by itself");
    acknowledged
}

/// Gives out what is left: with what was acknowledged it is every event, and nothing is both.
async fn judge(folder: &Path, said: &mut Said) {
    let (topics, all, subscription) = open(folder).await;
    let end = topics.log().bounds(topics.get(TOPIC).unwrap().number()).end;
    assert!(said.published_to <= end, "published and not there");
    let receiver = subscription.receiver();
    while subscription.backlog() > 0 {
        let given = receiver.next(LIMITS).await.unwrap();
        let ids: Vec<_> = given.iter().map(|one| one.ack_id).collect();
        for one in &given {
            assert!(
                said.acknowledged.insert(one.event.offset),
                "{} was acknowledged and given again",
                one.event.offset
            );
        }
        assert!(subscription.acknowledge(&ids).await.iter().all(|one| *one == Confirmation::Done));
    }
    world::until("nothing is left", || subscription.backlog() == 0).await;
    let known = |offset: &u64| said.acknowledged.contains(offset) || said.perhaps.contains(offset);
    let lost: Vec<u64> = (0..end).filter(|offset| !known(offset)).collect();
    assert!(lost.is_empty(), "{} events were never given, the first {:?}", lost.len(), lost.first());
    all.stop().await;
    topics.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_exactly_once_is_never_given_again_after_a_kill() {
    let folder = world::folder(&[]);
    let mut said = Said::default();
    for visit in [1, 3, 2, 9] {
        run(folder.path(), &Failpoints::new().kill("subscribe.before_save", visit), None, &mut said);
        judge(folder.path(), &mut said).await;
    }
    let kills = std::env::var("NARU_SUBSCRIBE_KILLS").map_or(8, |kills| kills.parse().unwrap());
    let seed = std::env::var("NARU_SEED").map_or(7, |seed| seed.parse().unwrap());
    let mut random = StdRng::seed_from_u64(seed);
    let mut acknowledged = 0;
    for _ in 0..kills {
        acknowledged += run(folder.path(), &Failpoints::new(), Some(random.random_range(20..400)), &mut said);
        if random.random_bool(0.3) {
            judge(folder.path(), &mut said).await;
        }
    }
    judge(folder.path(), &mut said).await;
    assert!(acknowledged > 0, "no child got as far as an acknowledgement");
    println!("{} events, {} heard acknowledged while killed, seed {seed}", said.acknowledged.len(), acknowledged);
}
