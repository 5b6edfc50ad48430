//! Who may import whom, and where each large library lives.
//!
//! Owns: the two lists below, which say what `ARCHITECTURE.md` says. A new edge needs a decision in `docs/decisions/`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{cargo, none};

/// The rooms below everything that moves, keeps or shows data: settings, state, permission.
const GROUND: &[&str] = &["naru-access", "naru-store", "naru-project", "naru-base"];

/// Room → rooms it may import besides [`GROUND`]. Not transitive.
const ABOVE_GROUND: &[(&str, &[&str])] = &[
    ("naru-server", &["naru-flow", "naru-warehouse", "naru-sync", "naru-topics"]),
    ("naru-flow", &["naru-quality"]),
    ("naru-quality", &[]),
    ("naru-warehouse", &["naru-googlesql", "naru-lake"]),
    ("naru-sync", &["naru-lake"]),
    ("naru-topics", &["naru-lake"]),
    ("naru-lake", &[]),
];

/// The ground itself, and the room that stands apart from the house.
const BELOW: &[(&str, &[&str])] = &[
    ("naru-access", &["naru-store", "naru-project", "naru-base"]),
    ("naru-store", &["naru-base"]),
    ("naru-project", &["naru-base"]),
    ("naru-base", &[]),
    // Knows nothing of naru: useful to others by itself.
    ("naru-googlesql", &[]),
];

/// Packages that may import every room: the binary wires them, the others test them.
const WIRING: &[&str] = &["naru", "naru-tests", "naru-benches", "naru-fuzz"];

/// Outside library → the only shipped rooms that may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("clap", &["naru"]),
    ("axum", &["naru-server"]),
    ("pgwire", &["naru-server"]),
    ("rusqlite", &["naru-store"]),
    ("tokio-postgres", &["naru-sync", "naru"]),
    ("deltalake-core", &["naru-lake"]),
    ("buoyant_kernel", &["naru-lake"]),
    ("datafusion", &["naru-warehouse", "naru-googlesql", "naru-lake"]),
    ("sqlparser", &["naru-googlesql"]),
    ("toml", &["naru-project"]),
    // The folder checks a schedule, the flow keeps it.
    ("croner", &["naru-project", "naru-flow"]),
    ("ratatui", &["naru"]),
    ("indicatif", &["naru"]),
];

/// Packages that ship nothing.
const NOT_SHIPPED: &[&str] = &["naru-testkit", "naru-unify", "naru-tests", "naru-benches", "naru-fuzz", "xtask"];

/// Package → names of what it imports in shipped code (normal and build dependencies).
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps"])).unwrap();
    let package = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let names = dependencies
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| dependency["name"].as_str().unwrap().to_owned());
        (package["name"].as_str().unwrap().to_owned(), names.collect())
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

fn is_ours(package: &str) -> bool {
    package == "naru" || package.starts_with("naru-")
}

fn may_import(from: &str, to: &str) -> bool {
    match to {
        "naru-unify" => return ["naru", "naru-testkit"].contains(&from),
        "naru-testkit" => return NOT_SHIPPED.contains(&from),
        _ => {}
    }
    let listed = |list: &[(&str, &[&str])]| list.iter().any(|(room, rooms)| *room == from && rooms.contains(&to));
    let above = ABOVE_GROUND.iter().any(|(room, _)| *room == from);
    WIRING.contains(&from)
        || listed(BELOW)
        || listed(ABOVE_GROUND)
        || (above && GROUND.contains(&to))
        || (from == "naru-testkit" && to == "naru-base")
}

#[test]
fn rooms_import_only_what_the_map_allows() {
    let mut violations = Vec::new();
    for (from, names) in imports() {
        for to in names.iter().filter(|name| is_ours(name)) {
            if !may_import(&from, to) {
                violations.push(format!("{from} -> {to}"));
            }
        }
    }
    none("edges that the map does not have (a new one needs a decision in docs/decisions/)", &violations);
}

#[test]
fn every_room_stands_on_the_map() {
    let known = |package: &str| {
        ABOVE_GROUND.iter().chain(BELOW).any(|(room, _)| *room == package)
            || WIRING.contains(&package)
            || NOT_SHIPPED.contains(&package)
    };
    let unknown: Vec<String> = imports().into_keys().filter(|package| !known(package)).collect();
    none("packages missing from the map in xtask/tests/tidy/edges.rs", &unknown);
}

#[test]
fn outside_libraries_have_one_home_each() {
    let mut violations = Vec::new();
    for (package, names) in imports() {
        if NOT_SHIPPED.contains(&package.as_str()) {
            continue;
        }
        for (library, homes) in HOMES {
            if names.contains(*library) && !homes.contains(&package.as_str()) {
                violations.push(format!("{package} -> {library} (home: {})", homes.join(", ")));
            }
        }
    }
    none("libraries used outside their home", &violations);
}
