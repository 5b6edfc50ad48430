//! `access.toml`: what it says, and every mistake with its place and a hint.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use naru_project::{AccessFile, Environment, Grantee, Project, Reach, Role};

fn told(text: &str) -> Vec<String> {
    let problems = AccessFile::parse(text, &Environment::of_process()).unwrap_err();
    problems.iter().map(|problem| problem.to_string().lines().take(2).collect::<Vec<_>>().join(" | ")).collect()
}

#[test]
fn a_sound_file_is_what_it_says() {
    let text = "closed = [\"finance.급여\"]\n[groups]\n\"재무\" = [\"Kim@Acme.KR\", \"person:lee@acme.kr\"]\n[[grants]]\nto = \"group:재무\"\ncan = \"edit\"\non = \"finance\"\n[[grants]]\nto = [\"domain:ACME.kr\", \"service:bi\", \"token:loader\"]\ncan = \"view\"\non = [\"*\", \"shop.orders.2026\"]\n";
    let file = AccessFile::parse(text, &Environment::of_process()).unwrap();
    assert_eq!(file.closed, ["finance.급여".parse().unwrap()]);
    assert_eq!(file.groups["재무"].members, ["kim@acme.kr", "lee@acme.kr"]);
    assert_eq!((file.grants[0].to[0].clone(), file.grants[0].can), (Grantee::Group("재무".into()), Role::Edit));
    assert_eq!(file.grants[1].to[0], Grantee::Domain("acme.kr".into()));
    assert_eq!(file.grants[1].on, [Reach::Project, Reach::Table("shop.orders.2026".parse().unwrap())]);
    assert_eq!(file.grants[1].place.to_string(), "access.toml:8:1");
}

/// A file, where its mistake stands, and what the message says.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("[[grants]]\nto = \"domain:a.kr\"\ncan = \"veiw\"\non = \"*\"\n", "access.toml:3:7", "Did you mean \"view\"?"),
    (
        "[[grants]]\nto = \"domain:a.kr\"\ncan = \"admin\"\non = \"*\"\n",
        "access.toml:3:7",
        "one of \"view\", \"edit\", \"own\"",
    ),
    ("[[grants]]\nto = \"group:x\"\ncan = \"view\"\non = \"*\"\n", "access.toml:2:6", "Name its people under [groups]"),
    (
        "[groups]\nanalysts = []\n[[grants]]\nto = [\"group:analyst\"]\ncan = \"view\"\non = \"*\"\n",
        "access.toml:4:7",
        "Did you mean \"group:analysts\"?",
    ),
    (
        "[groups]\nanalysts = []\n[[grants]]\nto = \"analysts\"\ncan = \"view\"\non = \"*\"\n",
        "access.toml:4:6",
        "Write \"group:analysts\".",
    ),
    (
        "[[grants]]\nto = \"kim@acme.kr\"\ncan = \"view\"\non = \"*\"\n",
        "access.toml:2:6",
        "Write \"person:kim@acme.kr\".",
    ),
    (
        "[[grants]]\nto = \"domian:acme.kr\"\ncan = \"view\"\non = \"*\"\n",
        "access.toml:2:6",
        "Did you mean \"domain:acme.kr\"?",
    ),
    ("[[grants]]\nto = \"domain:@acme.kr\"\ncan = \"view\"\non = \"*\"\n", "access.toml:2:6", "A domain has no @"),
    ("[[grants]]\nto = \"domain:\"\ncan = \"view\"\non = \"*\"\n", "access.toml:2:6", "A name stands behind"),
    ("[[grants]]\nto = \"person:kim\"\ncan = \"view\"\non = \"*\"\n", "access.toml:2:6", "kim@acme.kr"),
    (
        "[[grants]]\nto = \"domain:a.kr\"\ncan = \"view\"\non = \"shop.*\"\n",
        "access.toml:4:6",
        "Write \"shop\" for all tables",
    ),
    (
        "[[grants]]\nto = \"domain:a.kr\"\ncan = \"view\"\non = \"shop.ord*\"\n",
        "access.toml:4:6",
        "Write \"*\", \"shop\"",
    ),
    (
        "[[grants]]\nto = \"domain:a.kr\"\ncan = \"view\"\non = \".orders\"\n",
        "access.toml:4:6",
        "Write its dataset and its name",
    ),
    ("[[grants]]\nto = \"domain:a.kr\"\non = \"*\"\n", "access.toml:1:1", "can = \"view\""),
    (
        "[[grants]]\nto = \"domain:a.kr\"\ncan = \"view\"\non = \"*\"\nuntil = 2026-01-01\n",
        "access.toml:5:1",
        "Known here: to, can, on",
    ),
    ("[grants]\nto = \"domain:a.kr\"\n", "access.toml:1:", "a list of tables, each headed [[grants]]"),
    ("[groups]\nanalysts = [\"kim\"]\n", "access.toml:2:13", "Members of a group are people"),
    ("[groups]\nclosed = [\"shop.orders\"]\n", "access.toml:2:11", "stand above [groups]"),
    ("closed = [\"shop\"]\n", "access.toml:1:11", "Write its dataset and its name"),
    ("[tags]\npii = [\"shop.users.email\"]\n", "access.toml:1:2", "not built yet: column tags"),
    ("[[filters]]\non = \"shop.orders\"\n", "access.toml:1:", "not built yet: row filters"),
    ("[group]\n", "access.toml:1:2", "Did you mean \"groups\"?"),
    ("[groups\n", "access.toml:1:", "this is not valid TOML"),
];

#[test]
fn every_mistake_has_its_place_and_says_what_to_write() {
    for &(text, place, hint) in MISTAKES {
        let told = told(text);
        assert_eq!(told.len(), 1, "{text}: {told:?}");
        let whole = AccessFile::parse(text, &Environment::of_process()).unwrap_err()[0].to_string();
        assert!(told[0].starts_with(place), "{text}: {told:?}");
        assert!(whole.contains(hint), "{text}: {whole}");
    }
}

#[test]
fn a_dataset_that_nothing_makes_is_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("naru.toml", "[project]\nname = \"acme\"\n");
    write("marts/finance/daily.sql", "SELECT 1 AS n");
    write("sources/shop.toml", "kind = \"postgres\"\nurl = \"${PATH}\"\n");
    let on = "[\"finance\", \"shop\", \"shop_archive\", \"topics.orders\", \"naru\", \"finanse\", \"*\"]";
    write("access.toml", &format!("[[grants]]\nto = \"domain:acme.kr\"\ncan = \"view\"\non = {on}\n"));
    let loaded = Project::load(folder.path(), &Environment::of_process());
    let notes: Vec<String> = loaded.notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("access.toml:1:1: nothing in this folder makes a dataset \"finanse\""), "{notes:?}");
    assert!(notes[0].contains("Did you mean \"finance\"?"), "{notes:?}");
    assert_eq!(loaded.project.unwrap().access.unwrap().grants.len(), 1);
}

#[test]
fn no_variable_and_no_secret_file_is_read_into_the_rights_or_their_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "from-a-file").unwrap();
    let environment = Environment::of([("PLANTED", "from-the-process")]);
    for text in ["${PLANTED}".to_owned(), format!("${{file:{}}}", file.display())] {
        for line in [
            format!("closed = [\"{text}\"]"),
            format!("[groups]\ng = [\"{text}\"]"),
            format!("[[grants]]\nto = \"{text}\"\ncan = \"view\"\non = \"*\""),
            format!("[[grants]]\nto = \"domain:a.kr\"\ncan = \"{text}\"\non = \"*\""),
            format!("[[grants]]\nto = \"domain:a.kr\"\ncan = \"view\"\non = \"{text}\""),
        ] {
            let told = format!("{:?}", AccessFile::parse(&line, &environment).unwrap_err());
            assert!(!told.contains("from-"), "{line}: {told}");
        }
    }
}
