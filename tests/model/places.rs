//! Every failpoint of the shipped code is one that a test uses: a place to kill at that nobody kills at proves nothing.
//!
//! Owns: the comparison of the code with the tests. Never runs naru.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::faults::PLACES;

/// Failpoints at which something is answered; a kill there would be one anywhere.
const ANSWERS: [&str; 6] =
    ["store.put.lost", "store.put.exists", "store.put.error", "store.get.error", "store.slow", "sync.disk_low"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

fn texts(folders: &[PathBuf], ending: &str) -> String {
    let mut paths = Vec::new();
    for folder in folders {
        files(folder, ending, &mut paths);
    }
    paths.iter().map(|path| fs::read_to_string(path).expect("read a file")).collect()
}

/// The names of all failpoints in the shipped code.
fn failpoints() -> BTreeSet<String> {
    let crates = fs::read_dir(root().join("crates")).expect("the crates").flatten();
    let sources: Vec<PathBuf> = crates.map(|room| room.path().join("src")).collect();
    let code = texts(&sources, "rs");
    code.split("failpoint::hit(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

/// The tests of single rooms that start themselves again as a child and kill it.
fn tests_that_kill() -> String {
    let crates = fs::read_dir(root().join("crates")).expect("the crates").flatten();
    let mut paths = Vec::new();
    for room in crates {
        files(&room.path().join("tests"), "rs", &mut paths);
    }
    let texts = paths.iter().map(|path| fs::read_to_string(path).expect("read a test"));
    texts.filter(|text| text.contains(".kill(") || text.contains("=kill@")).collect()
}

#[test]
fn every_failpoint_in_the_code_is_one_that_a_test_kills_at() {
    let elsewhere = tests_that_kill();
    let mut scripts = Vec::new();
    files(&root().join("tests/scripts"), "test", &mut scripts);
    let scripts: String = scripts.iter().map(|path| fs::read_to_string(path).expect("read a script")).collect();
    let in_room = |name: &str| elsewhere.contains(&format!("\"{name}\""));
    let killed_at = |name: &str| PLACES.contains(&name) || in_room(name) || scripts.contains(&format!("{name}=kill"));
    let all = failpoints();
    let never: Vec<&String> = all.iter().filter(|name| !ANSWERS.contains(&name.as_str()) && !killed_at(name)).collect();
    assert!(
        never.is_empty(),
        "no test kills at {never:?}: name them in `faults::PLACES` or in a kill test of the room"
    );
    let gone: Vec<&&str> = PLACES.iter().chain(&ANSWERS).filter(|name| !all.contains(**name)).collect();
    assert!(gone.is_empty(), "the code has no failpoints {gone:?} any more");
}

#[test]
fn every_answer_that_a_failpoint_gives_is_asked_for_by_a_script() {
    let scripts = texts(&[root().join("tests/scripts")], "test");
    for answer in ANSWERS {
        assert!(scripts.contains(&format!("{answer}=")), "no script uses {answer}");
    }
}
