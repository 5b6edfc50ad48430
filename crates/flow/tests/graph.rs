//! What the graph knows and what it finds wrong, on project folders.
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

use std::{collections::BTreeSet, time::Instant};

use naru_base::TableId;
use naru_flow::{Graph, KnownTables};
use unicode_width::UnicodeWidthStr as _;
use world::{FakeFront, World};

fn ids(names: &[&str]) -> Vec<TableId> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn edges_come_from_the_sql_and_layers_from_the_edges() {
    let world = World::new();
    world
        .mart("staging.orders", "SELECT * FROM shop.orders")
        .mart("staging.customers", "SELECT * FROM `acme.shop.customers`")
        .mart("finance.sales", "SELECT * FROM staging.orders JOIN staging.customers ON TRUE JOIN shop.orders ON TRUE");
    let built = world.built();
    assert_eq!(built.problems, []);
    let graph = built.graph;
    let sales: TableId = "finance.sales".parse().unwrap();
    let above: Vec<_> = graph.above(&sales).map(|mart| mart.id.to_string()).collect();
    assert_eq!(above, ["staging.customers", "staging.orders"]);
    assert_eq!((graph.layer(&sales), graph.layer(&"staging.orders".parse().unwrap())), (1, 0));
    assert_eq!(graph.marts().last().unwrap().id, sales);
    assert_eq!(graph.sources().len(), 2);
}

#[test]
fn a_mistake_is_found_at_its_place_in_the_file_below_the_options() {
    let world = World::new();
    world
        .mart("a.bad", "/* naru\ndescription: x\n*/ SELECT 1\nFROM shop.orders WHERE BROKEN")
        .mart("a.typo", "/* naru\nkind: view */ SELECT * FROM shop.order")
        .mart("a.bare", "SELECT * FROM orders")
        .mart("a.other", "SELECT * FROM umbrella.shop.orders");
    let found: Vec<String> = world
        .built()
        .problems
        .iter()
        .map(|p| format!("{} {}: {} {}", p.place.as_ref().unwrap(), p.code, p.summary, p.hint.as_deref().unwrap_or("")))
        .collect();
    assert_eq!(
        found,
        [
            "marts/a/bad.sql:4:24 flow.sql: the SQL of this mart does not parse ",
            "marts/a/bare.sql:1:15 flow.table_without_dataset: table orders is named without a dataset Write shop.orders.",
            "marts/a/other.sql:1:15 flow.other_project: table umbrella.shop.orders is not in this project \
             Leave the first part out, or mend it.",
            "marts/a/typo.sql:2:29 flow.table_unknown: nobody makes table shop.order Did you mean shop.orders?",
        ]
    );
}

#[test]
fn a_cycle_is_named_with_its_path_and_breaks_only_its_members() {
    let world = World::new();
    world
        .mart("a.x", "SELECT * FROM a.y")
        .mart("a.y", "SELECT * FROM a.z")
        .mart("a.z", "SELECT * FROM a.x JOIN shop.orders ON TRUE")
        .mart("b.own", "SELECT * FROM b.own")
        .mart("c.fine", "SELECT * FROM shop.orders")
        .mart("c.below", "SELECT * FROM a.x");
    let built = world.built();
    let summaries: Vec<&str> = built.problems.iter().map(|p| p.summary.as_str()).collect();
    assert_eq!(
        summaries,
        ["marts wait for each other: a.x → a.y → a.z → a.x", "marts wait for each other: b.own → b.own"]
    );
    let broken: Vec<String> =
        built.graph.marts().iter().filter(|mart| mart.broken.is_some()).map(|mart| mart.id.to_string()).collect();
    assert_eq!(broken, ["a.x", "a.y", "a.z", "b.own"]);
    assert_eq!(built.graph.marts().len(), 6);
}

#[test]
fn tables_of_a_source_that_was_never_seen_are_a_note() {
    let world = World::new();
    world.mart("a.x", "SELECT * FROM crm.people JOIN crm_audit.log ON TRUE");
    let mut known = KnownTables::new();
    known.add_unseen_source("crm", "crm");
    let built = Graph::build(&world.project(), &FakeFront, &known);
    assert_eq!(built.problems, []);
    assert_eq!(built.notes.len(), 1, "one note for a source, not one for each table");
    assert_eq!(built.notes[0].code, "flow.source_unseen");
    assert!(built.notes[0].detail.as_ref().unwrap().ends_with("has crm.people, crm_audit.log."));
    assert_eq!(built.graph.marts()[0].reads.len(), 2);
}

#[test]
fn a_selection_takes_names_files_patterns_and_what_lies_above_and_below() {
    let world = World::new();
    world
        .mart("staging.a", "SELECT * FROM shop.orders")
        .mart("staging.b", "SELECT * FROM shop.orders")
        .mart("finance.c", "SELECT * FROM staging.a")
        .mart("finance.d", "SELECT * FROM finance.c");
    let graph = world.graph();
    let cases: [(&[&str], &[&str]); 8] = [
        (&[], &["finance.c", "finance.d", "staging.a", "staging.b"]),
        (&["finance.c"], &["finance.c"]),
        (&["finance.c+"], &["finance.c", "finance.d"]),
        (&["+finance.c"], &["finance.c", "staging.a"]),
        (&["+finance.c+"], &["finance.c", "finance.d", "staging.a"]),
        (&["staging.*"], &["staging.a", "staging.b"]),
        (&["marts/finance/*.sql"], &["finance.c", "finance.d"]),
        (&["staging.b", "finance.d"], &["finance.d", "staging.b"]),
    ];
    for (words, expected) in cases {
        assert_eq!(graph.select(words).unwrap().into_iter().collect::<Vec<_>>(), ids(expected), "{words:?}");
    }
    let problem = graph.select(&["finance.cc"]).unwrap_err();
    assert_eq!(
        (problem.code.as_ref(), problem.hint.as_deref()),
        ("flow.no_such_mart", Some("Did you mean finance.c?"))
    );
    assert_eq!(graph.select(&["d"]).unwrap_err().hint.as_deref(), Some("Did you mean finance.d?"));
    // Whoever does not see finance.d hears of it what they hear of a mart that does not exist.
    let unseen = |words: &[&str]| graph.select_seen(words, |id| id.to_string() != "finance.d");
    for word in ["d", "finance.d", "+finance.d"] {
        let problem = unseen(&[word]).unwrap_err();
        assert!(problem.hint.as_deref().is_none_or(|hint| !hint.contains("finance.d")), "{word}: {problem}");
    }
    let shown = unseen(&["*"]).unwrap();
    assert!(!shown.is_empty() && shown.iter().all(|id| id.to_string() != "finance.d"));
}

#[test]
fn a_check_file_gates_the_last_of_the_marts_it_reads_and_one_named_by_a_mart_gates_only_that() {
    let world = World::new();
    world
        .mart("a.x", "SELECT * FROM shop.orders")
        .mart("a.y", "SELECT * FROM a.x")
        .mart("a.z", "/* naru\nchecks: [{warn: {query: checks/named.sql}}, {unique: id}, {unique: id}]\n*/ SELECT * FROM shop.orders")
        .file("checks/sum.sql", "SELECT 1 FROM a.x JOIN a.y ON TRUE JOIN a.z ON TRUE")
        .file("checks/named.sql", "SELECT 1 FROM a.x JOIN a.z ON TRUE")
        .file("checks/lonely.sql", "SELECT 1 FROM shop.orders");
    let built = world.built();
    assert_eq!(built.problems, []);
    assert_eq!(built.notes.len(), 1);
    assert_eq!(built.notes[0].code, "flow.check_gates_nothing");
    let graph = built.graph;
    let checks = |id: &str| -> Vec<String> {
        graph.mart(&id.parse().unwrap()).unwrap().checks.iter().map(|check| check.name.clone()).collect()
    };
    assert_eq!(checks("a.z"), ["checks/named.sql", "unique(id)", "unique(id) #2", "checks/sum.sql"]);
    assert_eq!(checks("a.x"), [""; 0]);
    let after: Vec<String> = graph.after(&"a.z".parse().unwrap()).map(|mart| mart.id.to_string()).collect();
    assert_eq!(after, ["a.x", "a.y"]);
}

#[test]
fn a_check_that_reads_a_mart_below_does_not_wait_for_it() {
    let world = World::new();
    world
        .mart(
            "a.x",
            "/* naru\nchecks: [{relationships: {column: id, to: a.y, field: id}}]\n*/ SELECT * FROM shop.orders",
        )
        .mart("a.y", "SELECT * FROM a.x");
    let built = world.built();
    assert_eq!(built.problems, []);
    assert_eq!(built.graph.marts().len(), 2);
    assert_eq!(built.graph.after(&"a.x".parse().unwrap()).count(), 0);
}

#[test]
fn the_graph_draws_itself_for_people_and_programs() {
    let world = World::new();
    world.mart("staging.orders", "/* naru\nkind: view\nchecks: [{unique: id}]\n*/ SELECT * FROM shop.orders").mart(
        "finance.sales",
        "/* naru\nschedule: \"0 6 * * *\"\n*/ SELECT * FROM staging.orders JOIN shop.customers ON TRUE",
    );
    let graph = world.graph();
    let all = graph.select::<&str>(&[]).unwrap();
    assert_eq!(
        graph.to_text(&all, &std::collections::BTreeMap::new()),
        "  0 ─ shop: customers orders\n\
         \x20 1 ┬ staging.orders  view   ← shop.orders  · 1 check\n\
         \x20 2 ┬ finance.sales   table  ← shop.customers, staging.orders  · at \"0 6 * * *\"\n"
    );
    let dot = graph.to_dot(&all);
    assert!(dot.contains("\"staging.orders\" -> \"finance.sales\";"), "{dot}");
    let json = graph.to_json(&all);
    assert_eq!(json["marts"][1]["reads"], serde_json::json!(["shop.customers", "staging.orders"]));
    assert_eq!(json["sources"], serde_json::json!(["shop.customers", "shop.orders"]));
}

#[test]
fn a_thousand_marts_are_a_graph_in_no_time() {
    let world = World::new();
    for number in 0..1_000_u32 {
        let above = (0..3).map(|step| number.saturating_sub(1 + step * 7)).filter(|above| *above < number);
        let joins = above.map(|above| format!("JOIN a.m{above} ON TRUE")).collect::<Vec<_>>().join(" ");
        let check = number.saturating_sub(40);
        let options = format!("checks: [{{unique: id}}, {{relationships: {{column: id, to: a.m{check}, field: id}}}}]");
        world.mart(&format!("a.m{number}"), &format!("/* naru\n{options}\n*/ SELECT * FROM shop.orders {joins}"));
    }
    let project = world.project();
    let known: KnownTables = ids(&["shop.orders"]).into_iter().collect();
    let began = Instant::now();
    let built = Graph::build(&project, &FakeFront, &known);
    let elapsed = began.elapsed();
    println!("graph of 1,000 marts: {elapsed:?}");
    assert_eq!((built.graph.marts().len(), built.problems.len()), (1_000, 0));
    // Its time is for the bench: a debug build on a busy machine says nothing about it.
}

#[test]
fn many_marts_with_long_and_korean_names_keep_their_columns_and_fit_a_terminal() {
    let world = World::new();
    for number in 0..30_u32 {
        world.mart(&format!("staging.orders_of_region_{number}"), "SELECT * FROM shop.orders");
    }
    let regions: Vec<String> =
        (0..30).map(|number| format!("JOIN staging.orders_of_region_{number} ON TRUE")).collect();
    let joins = regions.join(" ");
    world.mart(
        "재무.일매출",
        &format!("/* naru\nowner: 재무팀\nschedule: \"0 6 * * *\"\n*/ SELECT * FROM shop.orders {joins}"),
    );
    let graph = world.graph();
    let all = graph.select::<&str>(&[]).unwrap();
    let remarks = [("재무.일매출".parse().unwrap(), "rolled back to run 7".to_owned())].into();
    let text = graph.to_text(&all, &remarks);
    let kinds: BTreeSet<usize> =
        text.lines().filter_map(|line| line.split_once("  table")).map(|(before, _)| before.width()).collect();
    assert_eq!(kinds.len(), 1, "{text}");
    assert!(text.lines().all(|line| line.width() <= 116), "{text}");
    assert!(
        text.contains("· at \"0 6 * * *\"") && text.contains("· 재무팀") && text.contains("· rolled back to run 7")
    );
    let json = graph.to_json(&all);
    assert_eq!(json["marts"][30]["owner"], "재무팀");
    assert_eq!(json["marts"][30]["schedule"], "0 6 * * *");
    assert_eq!(json["marts"][0]["read_by"], serde_json::json!(["재무.일매출"]));
}
