//! Runs the GoogleSQL specification cases: each is equal, refused or wrong; wrong must be none.
//!
//! The number of equal cases never falls below `spec_floor.txt`. Cases are read from beside the checkout
//! (`NARU_CASES` says where else); without them the test says so and passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use naru_googlesql::Params;
use serde::Deserialize;
use serde_json::Value;
use support::{Outcome, Project};

#[derive(Debug, Deserialize)]
struct File {
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    #[serde(default)]
    setup: Vec<String>,
    sql: String,
    #[serde(default)]
    args: Vec<Value>,
    #[serde(default)]
    named_args: BTreeMap<String, Value>,
    expected: Expected,
}

#[derive(Debug, Deserialize)]
struct Expected {
    rows: Option<Vec<Vec<Value>>>,
    error: Option<Value>,
    #[serde(default)]
    unordered: bool,
}

#[derive(Default, Clone, Copy)]
struct Tally {
    equal: usize,
    refused: usize,
    wrong: usize,
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "yaml") {
            into.push(path);
        }
    }
}

fn cases_folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::var_os("NARU_CASES").map_or_else(|| root.join("../shared/cases"), PathBuf::from).join("googlesql")
}

fn params(case: &Case) -> Params {
    let scalar = |value: &Value| support::scalar(value);
    Params {
        named: case.named_args.iter().map(|(name, value)| (name.clone(), scalar(value))).collect(),
        positional: case.args.iter().map(scalar).collect(),
    }
}

async fn run(case: &Case) -> Outcome {
    let mut project = Project::new();
    for statement in &case.setup {
        if let Err(error) = project.run(statement, &Params::default()).await {
            return Outcome::Refused(format!("setup: {error}"));
        }
    }
    let given = project.run(&case.sql, &params(case)).await;
    match (given, &case.expected) {
        (Err(error), Expected { error: None, .. }) => Outcome::Refused(error),
        (Err(_), _) | (Ok(_), Expected { error: None, rows: None, .. }) => Outcome::Equal,
        (Ok(rows), Expected { error: Some(_), .. }) => Outcome::Wrong(format!("no error but {rows:?}")),
        (Ok(rows), Expected { rows: Some(wanted), unordered, .. }) => {
            let ordered = !unordered && case.sql.to_uppercase().contains("ORDER BY");
            if support::same_rows(&rows, wanted, ordered) {
                Outcome::Equal
            } else {
                Outcome::Wrong(format!("got {rows:?}, wanted {wanted:?}"))
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_specification_case_gives_other_rows() {
    let folder = cases_folder();
    if !folder.is_dir() {
        println!("no specification cases at {}; nothing was checked", folder.display());
        return;
    }
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    paths.sort();
    let mut families: BTreeMap<String, Tally> = BTreeMap::new();
    let mut total = Tally::default();
    let mut wrong = Vec::new();
    let only = std::env::var("NARU_SPEC_ONLY").ok();
    for path in &paths {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let file: File = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let family = name.split('/').skip(1).take(2).collect::<Vec<_>>().join("/");
        for case in &file.cases {
            let outcome = run(case).await;
            let tally = families.entry(family.clone()).or_default();
            match outcome {
                Outcome::Equal => {
                    tally.equal += 1;
                    total.equal += 1;
                }
                Outcome::Refused(why) => {
                    tally.refused += 1;
                    total.refused += 1;
                    if std::env::var_os("NARU_SPEC_SHOW").is_some() {
                        println!(
                            "refused {name}: {} => {why}",
                            case.sql.split_whitespace().collect::<Vec<_>>().join(" ")
                        );
                    }
                }
                Outcome::Wrong(how) => {
                    tally.wrong += 1;
                    total.wrong += 1;
                    wrong.push(format!("{name}: {} => {how}", case.sql));
                }
            }
        }
    }
    println!("{:<32} {:>6} {:>8} {:>6}", "family", "equal", "refused", "wrong");
    for (family, tally) in &families {
        println!("{family:<32} {:>6} {:>8} {:>6}", tally.equal, tally.refused, tally.wrong);
    }
    println!("{:<32} {:>6} {:>8} {:>6}", "all", total.equal, total.refused, total.wrong);
    assert!(wrong.is_empty(), "wrong rows:\n{}", wrong.join("\n"));
    if only.is_none() {
        let floor: usize = include_str!("spec_floor.txt").trim().parse().unwrap();
        assert!(total.equal >= floor, "{} cases are equal, the floor is {floor}", total.equal);
    }
}
