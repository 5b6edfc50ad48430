//! Which licences may enter the build.
//!
//! Owns: reading SPDX expressions and comparing them with `deny.toml`, which cargo-deny reads too.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::{cargo, none, text};

/// Whether an SPDX expression can be met with allowed licences only. The old `A/B` means `A OR B`.
fn is_met(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (met, rest) = any(&words, allowed);
    assert!(rest.is_empty(), "cannot read the licence {expression:?}");
    met
}

fn any<'a>(words: &'a [&'a str], allowed: &dyn Fn(&str) -> bool) -> (bool, &'a [&'a str]) {
    let (mut met, mut rest) = all(words, allowed);
    while let ["OR", after @ ..] = rest {
        let (other, left) = all(after, allowed);
        met |= other;
        rest = left;
    }
    (met, rest)
}

fn all<'a>(words: &'a [&'a str], allowed: &dyn Fn(&str) -> bool) -> (bool, &'a [&'a str]) {
    let (mut met, mut rest) = one(words, allowed);
    while let ["AND", after @ ..] = rest {
        let (other, left) = one(after, allowed);
        met &= other;
        rest = left;
    }
    (met, rest)
}

fn one<'a>(words: &'a [&'a str], allowed: &dyn Fn(&str) -> bool) -> (bool, &'a [&'a str]) {
    match words {
        ["(", inside @ ..] => match any(inside, allowed) {
            (met, [")", rest @ ..]) => (met, rest),
            (_, rest) => (false, rest),
        },
        [licence, "WITH", exception, rest @ ..] => (allowed(&format!("{licence} WITH {exception}")), rest),
        [licence, rest @ ..] => (allowed(licence), rest),
        [] => (false, words),
    }
}

fn strings(value: Option<&Value>) -> BTreeSet<String> {
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

#[test]
fn every_dependency_is_permissive() {
    let rules: Table = text("deny.toml").parse().unwrap();
    let everywhere = strings(rules["licenses"].get("allow"));
    let exceptions: BTreeMap<String, BTreeSet<String>> = rules["licenses"]["exceptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|exception| (exception["crate"].as_str().unwrap().to_owned(), strings(exception.get("allow"))))
        .collect();
    let mut unused: BTreeSet<&String> = exceptions.keys().collect();
    let mut violations = BTreeSet::new();
    let tree = cargo(&["tree", "--workspace", "--edges", "normal,build", "--prefix", "none", "--format", "{p}|{l}"]);
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let (package, licence) = line.split_once('|').unwrap();
        let name = package.split(' ').next().unwrap();
        let own = exceptions.get_key_value(name);
        let allowed =
            |wanted: &str| everywhere.contains(wanted) || own.is_some_and(|(_, licences)| licences.contains(wanted));
        if let Some((name, _)) = own {
            unused.remove(name);
        }
        if !is_met(licence.trim_end_matches(" (*)"), &allowed) {
            violations.insert(format!("{package}: {licence}"));
        }
    }
    violations.extend(unused.into_iter().map(|name| format!("{name}: an exception that nothing needs any more")));
    none("licences that deny.toml does not allow", &violations.into_iter().collect::<Vec<_>>());
}

#[test]
fn licence_expressions_are_read_as_spdx_says() {
    let allowed = |licence: &str| ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].contains(&licence);
    let cases = [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("ISC AND (MIT OR GPL-3.0)", true),
        ("GPL-3.0 OR MIT AND ISC", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
    ];
    for (expression, met) in cases {
        assert_eq!(is_met(expression, &allowed), met, "{expression}");
    }
}
