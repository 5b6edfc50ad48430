//! What a `Cargo.toml` must look like.
//!
//! Owns: versions and features at the root only, one feature set, the shared lints.
//! Read next: `docs/decisions/0001-one-feature-set.md`.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::{none, project_files, ratchet, text};

const SECTIONS: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

fn manifest(path: &str) -> Table {
    text(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Manifests of workspace members: everything but the root and what is excluded there.
fn members() -> Vec<String> {
    let of_a_member = |path: &String| path.ends_with("/Cargo.toml") && manifest(path).get("workspace").is_none();
    project_files().into_iter().filter(of_a_member).collect()
}

fn names(table: Option<&Value>) -> BTreeSet<String> {
    table.and_then(Value::as_table).map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn versions_and_features_are_set_at_the_root_only() {
    let mut violations = Vec::new();
    for path in members() {
        let manifest = manifest(&path);
        for section in SECTIONS {
            let Some(dependencies) = manifest.get(*section).and_then(Value::as_table) else { continue };
            for (name, value) in dependencies {
                let from_root = value.get("workspace").and_then(Value::as_bool) == Some(true);
                if !from_root || value.get("features").is_some() {
                    violations.push(format!("{path}: {name}"));
                }
            }
        }
    }
    none("dependencies not written as `name.workspace = true`", &violations);
}

#[test]
fn every_package_takes_the_shared_lints() {
    let without = |path: &String| {
        let manifest = manifest(path);
        manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool) != Some(true)
    };
    none("packages without [lints] workspace = true", &members().into_iter().filter(without).collect::<Vec<_>>());
}

#[test]
fn unify_joins_every_outside_library() {
    let root = manifest("Cargo.toml");
    let ours = |name: &String| name.starts_with("naru-");
    let wanted: BTreeSet<String> = names(root.get("workspace").and_then(|workspace| workspace.get("dependencies")))
        .into_iter()
        .filter(|name| !ours(name))
        .collect();
    let joined = names(manifest("crates/unify/Cargo.toml").get("dependencies"));
    none(
        "libraries of the root that crates/unify lacks, or the other way round",
        &wanted.symmetric_difference(&joined).cloned().collect::<Vec<_>>(),
    );
}

#[test]
fn no_library_is_listed_without_a_user() {
    let root = manifest("Cargo.toml");
    let listed = names(root.get("workspace").and_then(|workspace| workspace.get("dependencies")));
    let mut used = BTreeSet::new();
    for path in members().into_iter().filter(|path| path != "crates/unify/Cargo.toml") {
        let manifest = manifest(&path);
        used.extend(SECTIONS.iter().flat_map(|section| names(manifest.get(*section))));
    }
    let known: BTreeSet<String> =
        ratchet().into_keys().filter_map(|key| Some(key.strip_prefix("idle:")?.to_owned())).collect();
    let idle: BTreeSet<String> = listed.difference(&used).filter(|name| !name.starts_with("naru-")).cloned().collect();
    none(
        "libraries of the root that no package uses, or that are used by now and still stand in ratchet.txt",
        &idle.symmetric_difference(&known).cloned().collect::<Vec<_>>(),
    );
}
