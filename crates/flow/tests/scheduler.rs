//! Schedules on a clock that the test owns.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs
)]

mod world;

use std::sync::Arc;

use jiff::Timestamp;
use naru_flow::{
    Flow, NodeState, Scheduler, grid,
    pause::{self, Pause},
    run::{Progress, Reason, Request},
};
use naru_store::runs_read;
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use world::{Fate, World};

struct Clock(Arc<Mutex<Timestamp>>);

impl Clock {
    fn at(text: &str) -> Self {
        Self(Arc::new(Mutex::new(text.parse().unwrap())))
    }

    fn set(&self, text: &str) {
        *self.0.lock() = text.parse().unwrap();
    }

    fn scheduler(&self, world: &World, flow: &Flow) -> Scheduler {
        let now = self.0.clone();
        let (_, graph) = watch::channel(world.graph());
        Scheduler::new(flow.clone(), graph).with_clock(Arc::new(move || *now.lock()))
    }
}

async fn reasons(world: &World) -> Vec<String> {
    let runs = world.store.read(|tx| runs_read::latest(tx, 10)).await.unwrap();
    runs.into_iter().rev().map(|run| format!("{} {}", run.reason, run.requested)).collect()
}

/// Midnight and one in Seoul are 15:00 and 16:00 of the day before in UTC.
fn world() -> World {
    let world = World::new();
    world
        .mart("a.base", "SELECT * FROM shop.orders")
        .mart("a.midnight", "/* naru\nschedule: \"0 0 * * *\"\n*/ SELECT * FROM a.base")
        .mart("a.one", "/* naru\nschedule: \"0 1 * * *\"\n*/ SELECT * FROM a.midnight")
        .mart("a.never", "SELECT * FROM a.midnight");
    world
}

#[tokio::test]
async fn a_schedule_starts_its_mart_and_what_it_needs_that_has_no_schedule_of_its_own() {
    let world = world();
    let flow = world.flow().await;
    let clock = Clock::at("2026-11-22T14:59:00Z");
    let mut scheduler = clock.scheduler(&world, &flow);
    assert!(scheduler.tick().await.unwrap().is_empty());
    clock.set("2026-11-22T15:00:02Z");
    assert_eq!(scheduler.tick().await.unwrap().len(), 1);
    assert!(scheduler.tick().await.unwrap().is_empty());
    flow.all_ended().await;
    clock.set("2026-11-22T16:00:02Z");
    assert_eq!(scheduler.tick().await.unwrap().len(), 1);
    flow.all_ended().await;
    let order: Vec<String> = world.lake.commits().into_iter().map(|commit| commit.mart).collect();
    assert_eq!(order, ["a.base", "a.midnight", "a.one"]);
    assert_eq!(reasons(&world).await, ["schedule a.midnight", "schedule a.one"]);
}

#[tokio::test]
async fn times_missed_while_down_are_caught_up_once_and_together() {
    let world = world();
    let clock = Clock::at("2026-11-22T14:59:00Z");
    let flow = world.flow().await;
    clock.scheduler(&world, &flow).tick().await.unwrap();
    drop(flow);
    // Down for three nights.
    clock.set("2026-11-25T18:00:00Z");
    let flow = world.flow().await;
    let mut scheduler = clock.scheduler(&world, &flow);
    assert_eq!(scheduler.tick().await.unwrap().len(), 2);
    flow.all_ended().await;
    assert!(scheduler.tick().await.unwrap().is_empty());
    assert_eq!(reasons(&world).await, ["catch_up a.midnight a.one"]);
}

#[tokio::test]
async fn a_mart_that_is_still_being_built_stays_due_and_starts_once_when_it_has_ended() {
    let world = World::new();
    world.mart("a.often", "/* naru\nschedule: \"* * * * *\"\n*/ SELECT * FROM shop.orders");
    let flow = world.flow().await;
    let clock = Clock::at("2026-11-22T00:00:30Z");
    let mut scheduler = clock.scheduler(&world, &flow);
    scheduler.tick().await.unwrap();
    world.lake.decide(|call, _| if call == "stage" { Fate::Hang } else { Fate::Good });
    clock.set("2026-11-22T00:01:00Z");
    assert_eq!(scheduler.tick().await.unwrap().len(), 1);
    clock.set("2026-11-22T00:05:00Z");
    assert!(scheduler.tick().await.unwrap().is_empty());
    world.lake.decide(|_, _| Fate::Good);
    let run = world.store.read(|tx| runs_read::latest(tx, 1)).await.unwrap()[0].run;
    assert!(flow.cancel(run));
    flow.all_ended().await;
    assert_eq!(scheduler.tick().await.unwrap().len(), 1);
    flow.all_ended().await;
    assert!(scheduler.tick().await.unwrap().is_empty());
    assert_eq!(reasons(&world).await.len(), 2);
}

#[tokio::test]
async fn a_paused_schedule_starts_nothing_and_goes_on_with_its_next_time() {
    let world = World::new();
    world.mart("a.often", "/* naru\nschedule: \"* * * * *\"\n*/ SELECT * FROM shop.orders");
    let flow = world.flow().await;
    let clock = Clock::at("2026-11-22T00:00:30Z");
    let mut scheduler = clock.scheduler(&world, &flow);
    scheduler.tick().await.unwrap();
    let (graph, mart) = (world.graph(), naru_base::TableId::new("a", "often"));
    let pause = Pause { by: Some("kim".into()), why: Some("month end".into()), at_us: 0 };
    flow.pause(&graph, &mart, pause.clone()).await.unwrap();
    clock.set("2026-11-22T00:05:00Z");
    assert!(scheduler.tick().await.unwrap().is_empty());
    assert_eq!(pause::paused(&world.store).await.unwrap().get("a.often"), Some(&pause));
    flow.unpause(&graph, &mart, "2026-11-22T00:05:30Z".parse().unwrap()).await.unwrap();
    clock.set("2026-11-22T00:05:50Z");
    assert!(scheduler.tick().await.unwrap().is_empty());
    clock.set("2026-11-22T00:06:00Z");
    assert_eq!(scheduler.tick().await.unwrap().len(), 1);
    flow.all_ended().await;
    let lines = grid::lines(&world.store, &graph, |_| true, 25, "2026-11-22T00:06:10Z".parse().unwrap()).await.unwrap();
    assert_eq!((lines.len(), lines[0].cells.len(), lines[0].cells[0].state.as_str()), (1, 1, "done"));
    assert!(lines[0].next.is_some() && lines[0].paused.is_none());
}

#[tokio::test]
async fn a_scheduled_run_goes_on_after_the_death_of_the_process_but_not_when_a_mart_seems_to_cause_it() {
    let world = World::new();
    world.mart("a.x", "SELECT * FROM shop.orders").mart("a.killer", "SELECT * FROM a.x");
    world.lake.decide(|call, mart| if call == "stage" && mart.table == "killer" { Fate::Hang } else { Fate::Good });
    let request = Request { reason: Reason::Schedule, ..world.request(&[]) };
    let flow = world.flow().await;
    let mut watch = flow.watch();
    let run = flow.start(world.graph(), request).await.unwrap().run;
    for goes_on in [true, true, false] {
        if goes_on {
            until_killer_runs(&mut watch).await;
        }
        // The old process hangs for ever; the next one takes over.
        let flow = world.flow().await;
        watch = flow.watch();
        let settled = flow.settle().await.unwrap();
        assert_eq!(settled.interrupted.len(), usize::from(goes_on));
        let handles = flow.resume_interrupted(world.graph()).await.unwrap();
        let resumed: Vec<_> = handles.iter().map(|handle| handle.run).collect();
        let deaths = world.store.read(move |tx| runs_read::events(tx, run)).await.unwrap();
        let deaths = deaths.iter().filter(|event| event.event == "process_died").count();
        assert_eq!(resumed.len(), usize::from(deaths < 2), "after {deaths} deaths");
    }
    assert_eq!(world.lake.commits_of("a.x").len(), 1);
}

async fn until_killer_runs(watch: &mut broadcast::Receiver<Progress>) {
    loop {
        let progress = watch.recv().await.unwrap();
        if progress.mart.table == "killer" && progress.state == NodeState::Running {
            return;
        }
    }
}

#[tokio::test]
async fn the_scheduler_starts_what_is_due_by_itself_and_stops_when_told() {
    let world = World::new();
    world.mart("a.often", "/* naru\nschedule: \"* * * * *\"\n*/ SELECT * FROM shop.orders");
    let flow = world.flow().await;
    let clock = Clock::at("2026-11-22T00:00:30Z");
    clock.scheduler(&world, &flow).tick().await.unwrap();
    clock.set("2026-11-22T00:01:30Z");
    let mut watch = flow.watch();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(clock.scheduler(&world, &flow).run(shutdown.clone()));
    while watch.recv().await.unwrap().state != naru_flow::NodeState::Done {}
    shutdown.cancel();
    task.await.unwrap();
    flow.all_ended().await;
    assert_eq!(reasons(&world).await, ["schedule a.often"]);
}

#[tokio::test]
async fn an_edited_schedule_begins_with_its_next_time_and_so_does_one_that_was_away() {
    let world = World::new();
    let daily = |hour: u32| format!("/* naru\nschedule: \"0 {hour} * * *\"\n*/ SELECT * FROM shop.orders");
    world.mart("a.x", &daily(6));
    let flow = world.flow().await;
    // 05:30 in Seoul.
    let clock = Clock::at("2026-11-21T20:30:00Z");
    let (sender, graph) = watch::channel(world.graph());
    let now = clock.0.clone();
    let mut scheduler = Scheduler::new(flow.clone(), graph).with_clock(Arc::new(move || *now.lock()));
    assert!(scheduler.tick().await.unwrap().is_empty());
    // 05:00 of this day has passed, and is not caught up: nobody had asked for it then.
    world.mart("a.x", &daily(5));
    sender.send_replace(world.graph());
    assert!(scheduler.tick().await.unwrap().is_empty());
    clock.set("2026-11-22T20:00:01Z");
    assert_eq!(scheduler.tick().await.unwrap().len(), 1);
    flow.all_ended().await;
    world.mart("a.x", "SELECT * FROM shop.orders");
    sender.send_replace(world.graph());
    clock.set("2026-11-24T20:00:01Z");
    assert!(scheduler.tick().await.unwrap().is_empty());
    world.mart("a.x", &daily(5));
    sender.send_replace(world.graph());
    assert!(scheduler.tick().await.unwrap().is_empty());
    assert_eq!(reasons(&world).await, ["schedule a.x"]);
}
