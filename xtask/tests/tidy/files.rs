//! What a source file must look like.
//!
//! Owns: lengths, names, first lines, forbidden words, and the ratchet of lint exceptions.
//! Functions longer than 70 lines are clippy's to find (`clippy.toml`).

use std::collections::BTreeMap;

use crate::{none, project_files, ratchet, text};

/// Lines of a Rust file; split by noun before.
const FILE_LINES_MAX: usize = 800;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "manager", "helper", "helpers", "misc", "shared", "stuff"];

/// Lints denied in shipped code; each `allow` of one is counted by the ratchet.
const COUNTED_LINTS: &[&str] = &[
    "clippy::unwrap_used",
    "clippy::expect_used",
    "clippy::panic",
    "clippy::as_conversions",
    "clippy::await_holding_lock",
    "clippy::too_many_lines",
    "clippy::too_many_arguments",
    "unsafe_code",
];

fn rust_files() -> Vec<String> {
    let is_rust = |path: &String| std::path::Path::new(path).extension().is_some_and(|ending| ending == "rs");
    project_files().into_iter().filter(is_rust).collect()
}

/// Files that are linked into what users run.
fn is_shipped(path: &str) -> bool {
    path.starts_with("crates/") && path.contains("/src/") && !path.starts_with("crates/testkit/")
}

/// The part of a file before its unit tests.
fn before_tests(source: &str) -> &str {
    source.split("#[cfg(test)]").next().unwrap_or_default()
}

#[test]
fn every_file_begins_by_saying_what_it_owns() {
    let silent = |path: &String| !text(path).starts_with("//!");
    none("files that do not begin with //!", &rust_files().into_iter().filter(silent).collect::<Vec<_>>());
}

/// Written by a generator from a published definition, and said so.
fn is_generated(path: &str) -> bool {
    path.contains("/generated/") && text(path).contains("// @generated")
}

#[test]
fn no_file_is_longer_than_800_lines() {
    let long = rust_files().into_iter().filter(|path| !is_generated(path)).filter_map(|path| {
        let lines = text(&path).lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{path}: {lines}"))
    });
    none("files to split by noun", &long.collect::<Vec<_>>());
}

#[test]
fn names_say_what_is_inside() {
    let empty =
        |path: &String| path.split('/').any(|part| EMPTY_NAMES.contains(&part.split('.').next().unwrap_or_default()));
    let ours = rust_files().into_iter().filter(|path| !is_generated(path));
    let found = ours.filter(empty).collect::<Vec<_>>();
    none("names that say nothing", &found);
}

#[test]
fn nothing_is_left_for_later() {
    // Joined here so that this file does not find itself.
    let words = [["#[", "ignore"], ["todo", "!("], ["unimplemented", "!("], ["dbg", "!("]].map(|parts| parts.concat());
    let mut violations = Vec::new();
    for path in rust_files() {
        for (number, line) in text(&path).lines().enumerate() {
            violations.extend(
                words.iter().filter(|word| line.contains(*word)).map(|word| format!("{path}:{}: {word}", number + 1)),
            );
        }
    }
    none("left for later", &violations);
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    let folders = [["/ro", "ot/"], ["/ho", "me/"], ["/wo", "rk/"], ["/Us", "ers/"]].map(|parts| parts.concat());
    let mut violations = Vec::new();
    for path in project_files() {
        for (number, line) in text(&path).lines().enumerate() {
            violations.extend(
                folders
                    .iter()
                    .filter(|folder| line.contains(*folder))
                    .map(|folder| format!("{path}:{}: {folder}", number + 1)),
            );
        }
    }
    none("paths of one machine", &violations);
}

/// Exceptions to denied lints in shipped code may only become fewer. The numbers stand in `ratchet.txt`.
#[test]
fn exceptions_to_denied_lints_only_become_fewer() {
    let mut counted: BTreeMap<&str, usize> = COUNTED_LINTS.iter().map(|lint| (*lint, 0)).collect();
    for path in rust_files().into_iter().filter(|path| is_shipped(path)) {
        let source = text(&path);
        let attributes = before_tests(&source).lines().filter(|line| line.trim_start().starts_with('#'));
        for line in attributes.filter(|line| line.contains("allow(") || line.contains("expect(")) {
            for (lint, count) in &mut counted {
                *count += usize::from(line.contains(*lint));
            }
        }
    }
    let listed = ratchet();
    let compare = |(lint, count): (&str, usize)| {
        let allowed = listed.get(lint).copied().unwrap_or(0);
        match count.cmp(&allowed) {
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(format!("{lint}: {count}, only {allowed} allowed: write it without")),
            std::cmp::Ordering::Less => Some(format!("{lint}: {count}, fewer than {allowed}: lower the number")),
        }
    };
    none("xtask/tests/tidy/ratchet.txt", &counted.into_iter().filter_map(compare).collect::<Vec<_>>());
}
