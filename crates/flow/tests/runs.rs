//! Runs: order, gates, retries, cuts, resume.
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

use std::sync::atomic::{AtomicU32, Ordering};

use naru_base::{RunId, TableId};
use naru_flow::{ByHand, FlowError, NodeState, history, rollback::Rollback, run::RunState};
use naru_store::runs_read;
use world::{Fate, World, states};

fn id(name: &str) -> TableId {
    name.parse().unwrap()
}

/// A source, two layers above it, and a mart beside them.
fn shop() -> World {
    let world = World::new();
    world
        .mart("staging.orders", "SELECT * FROM shop.orders")
        .mart("finance.sales", "SELECT * FROM staging.orders")
        .mart("finance.report", "SELECT * FROM finance.sales")
        .mart("people.customers", "SELECT * FROM shop.customers");
    world
}

#[tokio::test]
async fn marts_are_built_in_order_and_each_reads_what_the_run_has_just_published() {
    let world = shop();
    let flow = world.flow().await;
    let report = world.run(&flow, &[]).await;
    assert_eq!(report.state, RunState::Done);
    let order: Vec<String> = world.lake.commits().into_iter().map(|commit| commit.mart).collect();
    let at = |mart: &str| order.iter().position(|found| found == mart).unwrap();
    assert!(at("staging.orders") < at("finance.sales") && at("finance.sales") < at("finance.report"));
    let second = world.run(&flow, &[]).await;
    assert_eq!(second.state, RunState::Done);
    let sales = world.lake.commits_of("finance.sales");
    assert_eq!(sales[0].inputs["staging.orders"], "v0");
    assert_eq!(sales[1].inputs["staging.orders"], "v1");
    assert_eq!(world.lake.staged_files(), 0);
    assert!(world.lake.pinned.lock().is_empty());
}

#[tokio::test]
async fn a_mart_that_is_not_selected_is_read_as_it_was_when_the_run_began() {
    let world = shop();
    let flow = world.flow().await;
    world.run(&flow, &["staging.orders"]).await;
    let report = world.run(&flow, &["finance.sales"]).await;
    assert_eq!(states(&report), ["finance.sales done"]);
    assert_eq!(world.lake.commits_of("finance.sales")[0].inputs["staging.orders"], "v0");
}

#[tokio::test]
async fn all_marts_of_a_run_read_one_cut_of_the_source() {
    let world = World::new();
    world
        .mart("a.first", "SELECT * FROM shop.orders")
        .mart("a.second", "SELECT * FROM a.first JOIN shop.orders ON TRUE");
    let flow = world.flow().await;
    let lake = world.lake.clone();
    world.lake.decide(move |call, mart| {
        if call == "publish" && mart.table == "first" {
            lake.change_source("shop.orders");
        }
        Fate::Good
    });
    world.run(&flow, &[]).await;
    assert_eq!(world.lake.commits_of("a.first")[0].inputs["shop.orders"], "v1");
    assert_eq!(world.lake.commits_of("a.second")[0].inputs["shop.orders"], "v1");
}

#[tokio::test]
async fn a_failed_check_keeps_yesterdays_table_and_blocks_only_what_lies_below() {
    let world = shop();
    world.mart(
        "finance.sales",
        "/* naru\nchecks: [{unique: id}, {not_null: id}, {warn: \"x > 1\"}]\n*/ SELECT * FROM staging.orders",
    );
    let flow = world.flow().await;
    assert_eq!(world.run(&flow, &[]).await.state, RunState::Done);
    world.lake.failing.lock().extend([("HAVING COUNT(*) > 1".to_owned(), 3), ("NOT (x > 1".to_owned(), 9)]);
    let report = world.run(&flow, &[]).await;
    assert_eq!(report.state, RunState::Failed);
    assert_eq!(
        states(&report),
        ["finance.report blocked", "finance.sales blocked", "people.customers done", "staging.orders done"]
    );
    assert_eq!(report.marts[1].cause.as_deref(), Some("check unique(id) found 3 rows"));
    assert_eq!(report.marts[0].cause.as_deref(), Some("upstream finance.sales is blocked"));
    assert_eq!(report.roots().map(|mart| mart.mart.to_string()).collect::<Vec<_>>(), ["finance.sales"]);
    assert_eq!(world.lake.commits_of("finance.sales").len(), 1);
    assert_eq!(world.lake.staged_files(), 0);

    let run = report.run;
    let verdicts = world.store.read(move |tx| runs_read::verdicts(tx, run)).await.unwrap();
    let found: Vec<String> = verdicts.iter().map(|v| format!("{} {} {}", v.check, v.outcome, v.failing)).collect();
    assert_eq!(found, ["not_null(id) pass 0", "unique(id) block 3", "x > 1 warn 9"]);
    let status = history::status(&world.store, &world.graph(), jiff::Timestamp::now()).await.unwrap();
    let sales = status.iter().find(|line| line.mart == id("finance.sales")).unwrap();
    assert_eq!(sales.failing_checks.len(), 2);
    assert_eq!(sales.published.as_ref().unwrap().0, RunId(1));
    assert_eq!(sales.latest.as_ref().unwrap().1.state, NodeState::Blocked);
}

#[tokio::test]
async fn a_check_that_cannot_run_blocks() {
    let world = World::new();
    world.mart("a.x", "/* naru\nchecks: [{unique: nope}]\n*/ SELECT * FROM shop.orders");
    world.lake.decide(|call, _| if call == "check" { Fate::FailNever } else { Fate::Good });
    let report = world.run(&world.flow().await, &[]).await;
    assert_eq!(states(&report), ["a.x blocked"]);
    assert_eq!(report.marts[0].cause.as_deref(), Some("check unique(nope) could not run"));
    assert!(world.lake.commits().is_empty());
}

#[tokio::test]
async fn what_may_pass_is_tried_again_within_the_marts_limit_and_what_may_not_is_not() {
    let cases = [(Fate::FailLater, 2, "done", 3), (Fate::FailLater, 1, "failed", 2), (Fate::FailNever, 5, "failed", 1)];
    for (fate, retries, state, tries) in cases {
        let world = World::new();
        world.mart("a.x", &format!("/* naru\nlimits: {{retries: {retries}}}\n*/ SELECT * FROM shop.orders"));
        let failures = AtomicU32::new(0);
        let given = fate.clone();
        world.lake.decide(move |call, _| {
            let fails = call == "stage" && failures.fetch_add(1, Ordering::SeqCst) < 2;
            if fails { given.clone() } else { Fate::Good }
        });
        let report = world.run(&world.flow().await, &[]).await;
        assert_eq!((states(&report), report.marts[0].tries), (vec![format!("a.x {state}")], tries), "{fate:?}");
        let attempts = world.lake.commits().len();
        assert_eq!(attempts, usize::from(state == "done"));
    }
}

#[tokio::test]
async fn a_mart_that_takes_too_long_is_stopped_and_its_staging_removed() {
    let world = World::new();
    world
        .mart("a.slow", "/* naru\nlimits: {timeout: 1s}\n*/ SELECT * FROM shop.orders")
        .mart("a.below", "SELECT * FROM a.slow");
    world.lake.decide(|call, mart| if call == "stage" && mart.table == "slow" { Fate::Hang } else { Fate::Good });
    let report = world.run(&world.flow().await, &[]).await;
    assert_eq!(states(&report), ["a.below blocked", "a.slow timed_out"]);
    assert_eq!(report.marts[1].cause.as_deref(), Some("mart a.slow took longer than its limit of 1 s"));
    assert_eq!(world.lake.staged_files(), 0);
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_in_the_log_and_not_made_twice() {
    let world = World::new();
    world.mart("a.x", "/* naru\nlimits: {retries: 3}\n*/ SELECT * FROM shop.orders");
    world.lake.decide(|call, _| if call == "publish" { Fate::LoseAnswer } else { Fate::Good });
    let report = world.run(&world.flow().await, &[]).await;
    assert_eq!((states(&report), world.lake.commits().len()), (vec!["a.x done".to_owned()], 1));
    assert_eq!(report.marts[0].version, Some(0));
}

#[tokio::test]
async fn a_commit_that_nobody_can_tell_about_is_interrupted_and_blocks_what_lies_below() {
    let world = shop();
    world.lake.decide(|call, mart| match (call, mart.table.as_str()) {
        ("publish", "sales") => Fate::LoseAnswer,
        ("committed", "sales") => Fate::FailLater,
        _ => Fate::Good,
    });
    let flow = world.flow().await;
    let report = world.run(&flow, &[]).await;
    assert_eq!(report.state, RunState::Interrupted);
    assert_eq!(
        states(&report),
        ["finance.report blocked", "finance.sales interrupted", "people.customers done", "staging.orders done"]
    );
    world.lake.decide(|_, _| Fate::Good);
    let report = flow.resume(world.graph(), None).await.unwrap().ended().await.unwrap();
    assert_eq!(report.state, RunState::Done);
}

#[tokio::test]
async fn no_more_marts_are_built_at_once_than_allowed_and_no_fewer() {
    let mut world = World::new();
    world.parallelism = 3;
    for number in 0..8 {
        world.mart(&format!("a.m{number}"), "SELECT * FROM shop.orders");
    }
    world.lake.gate.forget_permits(tokio::sync::Semaphore::MAX_PERMITS);
    let flow = world.flow().await;
    let mut watch = flow.watch();
    let handle = flow.start(world.graph(), world.request(&[])).await.unwrap();
    let mut running = 0;
    while running < 3 {
        running += usize::from(watch.recv().await.unwrap().state == NodeState::Running);
    }
    world.lake.gate.add_permits(100);
    assert_eq!(handle.ended().await.unwrap().state, RunState::Done);
    assert!(world.lake.running_most.load(Ordering::SeqCst) <= 3);
}

#[tokio::test]
async fn a_cancelled_run_ends_at_once_and_can_be_resumed() {
    let world = shop();
    world.lake.decide(|call, mart| if call == "stage" && mart.table == "sales" { Fate::Hang } else { Fate::Good });
    let flow = world.flow().await;
    let mut watch = flow.watch();
    let handle = flow.start(world.graph(), world.request(&[])).await.unwrap();
    loop {
        let progress = watch.recv().await.unwrap();
        if progress.mart == id("finance.sales") && progress.state == NodeState::Running {
            break;
        }
    }
    let busy = flow.start(world.graph(), world.request(&["finance.sales"])).await.unwrap_err();
    assert!(matches!(busy, FlowError::Busy { run, .. } if run == handle.run));
    assert!(matches!(flow.resume(world.graph(), None).await, Err(FlowError::GoingOn { .. })));
    assert!(flow.cancel(handle.run));
    let report = handle.ended().await.unwrap();
    assert_eq!(report.state, RunState::Cancelled);
    let states = states(&report);
    assert_eq!(states[..2], ["finance.report cancelled", "finance.sales cancelled"]);
    assert!(!flow.cancel(report.run));

    world.lake.decide(|_, _| Fate::Good);
    let resumed = flow.resume(world.graph(), Some(report.run)).await.unwrap().ended().await.unwrap();
    assert_eq!((resumed.run, resumed.state), (report.run, RunState::Done));
    assert_eq!(world.lake.commits_of("staging.orders").len(), 1);
}

#[tokio::test]
async fn resume_keeps_the_cut_and_runs_only_what_failed_was_blocked_or_edited() {
    let world = shop();
    world.lake.decide(|call, mart| if call == "stage" && mart.table == "sales" { Fate::FailNever } else { Fate::Good });
    let flow = world.flow().await;
    let report = world.run(&flow, &[]).await;
    assert_eq!(states(&report)[..2], ["finance.report blocked", "finance.sales failed"]);
    world.lake.change_source("shop.orders");
    world.lake.change_source("shop.customers");
    world.lake.decide(|_, _| Fate::Good);
    world.mart("finance.sales", "SELECT 2 FROM staging.orders JOIN shop.orders ON TRUE");
    world.mart("people.customers", "SELECT 2 FROM shop.customers");
    let resumed = flow.resume(world.graph(), None).await.unwrap().ended().await.unwrap();
    assert_eq!((resumed.run, resumed.state), (report.run, RunState::Done));
    assert_eq!(world.lake.commits_of("staging.orders").len(), 1);
    let sales = &world.lake.commits_of("finance.sales")[0];
    assert_eq!((sales.inputs["staging.orders"].as_str(), sales.inputs["shop.orders"].as_str()), ("v0", "v1"));
    let customers = world.lake.commits_of("people.customers");
    assert_eq!((customers.len(), customers[1].inputs["shop.customers"].as_str()), (2, "v1"));
    assert!(matches!(flow.resume(world.graph(), None).await, Err(FlowError::NothingToResume)));
}

#[tokio::test]
async fn resume_needs_only_the_versions_of_what_it_runs_again() {
    let world = World::new();
    world.mart("a.orders", "SELECT * FROM shop.orders").mart("a.customers", "SELECT * FROM shop.customers");
    world
        .lake
        .decide(|call, mart| if call == "stage" && mart.table == "orders" { Fate::FailNever } else { Fate::Good });
    let flow = world.flow().await;
    assert_eq!(states(&world.run(&flow, &[]).await), ["a.customers done", "a.orders failed"]);
    world.lake.decide(|_, _| Fate::Good);
    world.lake.vacuumed.lock().insert(id("shop.orders"));
    let report = flow.resume(world.graph(), None).await.unwrap().ended().await.unwrap();
    assert_eq!(states(&report), ["a.customers done", "a.orders blocked"]);
    assert_eq!(report.marts[1].problem.as_ref().unwrap()["code"], "fake.gone");
    *world.lake.vacuumed.lock() = [id("shop.customers")].into();
    let report = flow.resume(world.graph(), None).await.unwrap().ended().await.unwrap();
    assert_eq!(report.state, RunState::Done);
}

#[tokio::test]
async fn resume_finds_the_failed_run_behind_later_good_ones() {
    let world = shop();
    world.lake.decide(|call, mart| if call == "stage" && mart.table == "sales" { Fate::FailNever } else { Fate::Good });
    let flow = world.flow().await;
    let failed = world.run(&flow, &["finance.sales", "staging.orders"]).await;
    world.lake.decide(|_, _| Fate::Good);
    world.run(&flow, &["people.customers"]).await;
    let resumed = flow.resume(world.graph(), None).await.unwrap().ended().await.unwrap();
    assert_eq!((resumed.run, resumed.state), (failed.run, RunState::Done));
    assert!(matches!(flow.resume(world.graph(), Some(RunId(99))).await, Err(FlowError::NoSuchRun { .. })));
}

#[tokio::test]
async fn an_older_run_never_replaces_newer_results_unasked() {
    let world = shop();
    world.lake.decide(|call, mart| if call == "stage" && mart.table == "sales" { Fate::FailNever } else { Fate::Good });
    let flow = world.flow().await;
    let failed = world.run(&flow, &[]).await;
    world.lake.decide(|_, _| Fate::Good);
    world.lake.change_source("shop.orders");
    let newer = world.run(&flow, &[]).await;
    let refused = flow.resume(world.graph(), Some(failed.run)).await.unwrap_err();
    let FlowError::Older { run, newer: named, more, .. } = &refused else { panic!("{}", refused.problem()) };
    assert_eq!((*run, *named, *more), (failed.run, newer.run, 1));
    assert_eq!(world.lake.commits_of("finance.sales").len(), 1);
    let resumed = flow.resume_over_newer(world.graph(), Some(failed.run)).await.unwrap().ended().await.unwrap();
    assert_eq!(resumed.state, RunState::Done);
    let sales = id("finance.sales");
    let published = world.store.read(move |tx| runs_read::publications(tx, &sales)).await.unwrap();
    assert_eq!(published.iter().map(|(row, _)| row.run).collect::<Vec<_>>(), [failed.run, newer.run]);
    let status = naru_flow::history::status(&world.store, &world.graph(), jiff::Timestamp::now()).await.unwrap();
    let sales = status.iter().find(|line| line.mart == id("finance.sales")).unwrap();
    assert_eq!(sales.published.as_ref().unwrap().0, failed.run);
}

#[tokio::test]
async fn a_mart_skipped_by_hand_lets_what_lies_below_go_on_with_the_earlier_table() {
    let world = shop();
    let flow = world.flow().await;
    world.run(&flow, &[]).await;
    world.lake.decide(|call, mart| if call == "stage" && mart.table == "sales" { Fate::FailNever } else { Fate::Good });
    let failed = world.run(&flow, &[]).await;
    let refused = flow.set_by_hand(failed.run, &id("staging.orders"), ByHand::Skip).await.unwrap_err();
    assert_eq!(refused.problem().code, "flow.not_by_hand");
    let skipped = flow.set_by_hand(failed.run, &id("finance.sales"), ByHand::Skip).await.unwrap();
    assert_eq!(skipped.state, NodeState::Skipped);
    let resumed = flow.resume(world.graph(), Some(failed.run)).await.unwrap().ended().await.unwrap();
    assert_eq!(resumed.state, RunState::Done);
    assert_eq!(world.lake.commits_of("finance.report")[1].inputs["finance.sales"], "v0");
}

#[tokio::test]
async fn a_view_is_published_by_its_checks_and_expanded_where_it_is_read() {
    let world = World::new();
    world
        .mart("a.view", "/* naru\nkind: view\nchecks: [{not_null: id}]\n*/ SELECT 1 FROM shop.orders")
        .mart("a.table", "SELECT * FROM a.view");
    let flow = world.flow().await;
    assert_eq!(world.run(&flow, &[]).await.state, RunState::Done);
    let inputs = &world.lake.commits_of("a.table")[0].inputs;
    assert_eq!((inputs["a.view"].trim(), inputs["shop.orders"].as_str()), ("view  SELECT 1 FROM shop.orders", "v1"));

    // A new query that fails its checks is not published: readers keep the old one, also in a run of their own.
    world.mart("a.view", "/* naru\nkind: view\nchecks: [{not_null: id}]\n*/ SELECT 2 FROM shop.customers");
    world.lake.failing.lock().insert("IS NULL".to_owned(), 1);
    assert_eq!(states(&world.run(&flow, &["a.view"]).await), ["a.view blocked"]);
    assert_eq!(states(&world.run(&flow, &["a.table"]).await), ["a.table done"]);
    let inputs = &world.lake.commits_of("a.table")[1].inputs;
    assert_eq!(
        (inputs["a.view"].trim(), inputs.contains_key("shop.orders")),
        ("view  SELECT 1 FROM shop.orders", true)
    );

    // A view that becomes a table is one name with one meaning.
    world.mart("a.view", "SELECT 3 FROM shop.customers");
    assert_eq!(world.run(&flow, &["a.view+"]).await.state, RunState::Done);
    assert_eq!(world.lake.commits_of("a.table")[2].inputs["a.view"], "v0");
    assert_eq!(world.store.read(|tx| runs_read::views(tx)).await.unwrap(), []);
}

#[tokio::test]
async fn a_broken_mart_fails_at_once_and_all_others_run() {
    let world = shop();
    world.mart("finance.sales", "SELECT BROKEN FROM staging.orders");
    let report = world.run(&world.flow().await, &[]).await;
    assert_eq!(
        states(&report),
        ["finance.report done", "finance.sales failed", "people.customers done", "staging.orders done"]
            .map(|line| line.replace("report done", "report blocked"))
    );
    assert_eq!(report.marts[1].problem.as_ref().unwrap()["code"], "flow.sql");
}

#[tokio::test]
async fn a_mart_whose_input_was_never_built_says_how_to_build_it() {
    let world = shop();
    let report = world.run(&world.flow().await, &["finance.sales"]).await;
    assert_eq!(states(&report), ["finance.sales failed"]);
    let problem = report.marts[0].problem.as_ref().unwrap();
    assert_eq!(problem["code"], "flow.input_missing");
    assert!(problem["hint"].as_str().unwrap().contains("naru run +finance.sales"));
}

#[tokio::test]
async fn a_cut_that_cannot_be_taken_blocks_everything_and_resume_takes_it() {
    let world = shop();
    world.lake.decide(|call, _| if call == "pin" { Fate::FailLater } else { Fate::Good });
    let flow = world.flow().await;
    let report = world.run(&flow, &[]).await;
    assert_eq!(report.state, RunState::Failed);
    assert!(report.marts.iter().all(|mart| mart.state == NodeState::Blocked));
    world.lake.decide(|_, _| Fate::Good);
    let resumed = flow.resume(world.graph(), None).await.unwrap().ended().await.unwrap();
    assert_eq!(resumed.state, RunState::Done);
}

#[tokio::test]
async fn a_worker_that_panics_stops_its_run_and_settling_gives_it_an_end() {
    let world = shop();
    world.lake.decide(|call, mart| if call == "stage" && mart.table == "sales" { Fate::Panic } else { Fate::Good });
    let flow = world.flow().await;
    let error = flow.run(world.graph(), world.request(&[])).await.unwrap_err();
    assert_eq!(error.problem().code, "flow.worker_lost");
    let settled = flow.settle().await.unwrap();
    assert_eq!(settled.runs, [RunId(1)]);
    world.lake.decide(|_, _| Fate::Good);
    let resumed = flow.resume(world.graph(), None).await.unwrap().ended().await.unwrap();
    assert_eq!(resumed.state, RunState::Done);
    assert_eq!(world.lake.commits_of("finance.sales").len(), 1);
}

#[tokio::test]
async fn stopping_ends_every_run_and_lets_none_begin() {
    let world = shop();
    world.lake.decide(|call, _| if call == "stage" { Fate::Hang } else { Fate::Good });
    let flow = world.flow().await;
    let handle = flow.start(world.graph(), world.request(&[])).await.unwrap();
    flow.stop().await;
    assert_eq!(handle.ended().await.unwrap().state, RunState::Cancelled);
    assert!(matches!(flow.start(world.graph(), world.request(&[])).await, Err(FlowError::Stopping)));
}

#[tokio::test]
async fn history_forgets_old_runs_but_never_what_is_live() {
    let world = shop();
    let flow = world.flow().await;
    for _ in 0..3 {
        world.run(&flow, &[]).await;
    }
    world.run(&flow, &["people.customers"]).await;
    let forgotten = world.store.write(|tx| naru_store::runs::forget(tx, i64::MAX)).await.unwrap();
    assert_eq!(forgotten, 2);
    let status = history::status(&world.store, &world.graph(), jiff::Timestamp::now()).await.unwrap();
    assert!(status.iter().all(|line| line.published.is_some()));
}

#[tokio::test]
async fn a_mart_whose_table_does_not_stand_at_the_cut_is_blocked_with_the_reason_and_the_others_go_on() {
    let world = shop();
    let flow = world.flow().await;
    world.lake.unfit.lock().insert(id("shop.orders"), "table shop.orders is quarantined".into());
    let report = world.run(&flow, &[]).await;
    let expected =
        ["finance.report blocked", "finance.sales blocked", "people.customers done", "staging.orders blocked"];
    assert_eq!(states(&report), expected);
    let roots: Vec<String> = report.roots().map(|node| node.mart.to_string()).collect();
    assert_eq!(roots, ["staging.orders"]);
    assert_eq!(report.roots().next().unwrap().cause.as_deref(), Some("table shop.orders is quarantined"));
    world.lake.unfit.lock().clear();
    assert_eq!(world.run(&flow, &[]).await.state, RunState::Done);
}

#[tokio::test]
async fn a_rollback_is_a_run_that_publishes_the_earlier_rows_and_the_next_run_publishes_anew() {
    let world = shop();
    let flow = world.flow().await;
    let graph = world.graph();
    let mart = id("staging.orders");
    world.run(&flow, &[]).await;
    world.run(&flow, &["staging.orders"]).await;
    let asked = Rollback { to: None, by: Some("ji".into()), why: Some("wrong rates".into()) };
    let report = flow.rollback(&graph, &mart, asked).await.unwrap().ended().await.unwrap();
    assert_eq!(report.state, RunState::Done);
    let commit = world.lake.commits_of("staging.orders").pop().unwrap();
    assert_eq!(
        (commit.sql.as_str(), commit.inputs["staging.orders"].as_str()),
        ("SELECT * FROM `staging`.`orders`", "v0")
    );
    let now = jiff::Timestamp::now();
    let status = history::status(&world.store, &graph, now).await.unwrap();
    let rolled_back = status.iter().find(|line| line.mart == mart).unwrap().rolled_back.clone().unwrap();
    assert_eq!((rolled_back.to, rolled_back.by.as_deref()), (RunId(1), Some("ji")));
    assert_eq!(rolled_back.why.as_deref(), Some("wrong rates"));
    // It is no run to go on with, and there is nothing before it.
    assert!(matches!(flow.resume(graph.clone(), None).await, Err(FlowError::NothingToResume)));
    assert!(matches!(flow.resume(graph.clone(), Some(report.run)).await, Err(FlowError::Refused(_))));
    assert!(matches!(flow.rollback(&graph, &mart, Rollback::default()).await, Err(FlowError::Refused(_))));
    world.run(&flow, &["staging.orders"]).await;
    let status = history::status(&world.store, &graph, now).await.unwrap();
    assert_eq!(status.iter().find(|line| line.mart == mart).unwrap().rolled_back, None);
}
