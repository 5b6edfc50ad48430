//! The guide's examples are true.
#![allow(clippy::unwrap_used, missing_docs)]

use naru_project::{Environment, Project};

/// Blocks of the guide whose first line names a file: "```toml sources/shop.toml".
fn examples(guide: &str) -> Vec<(String, String)> {
    let mut examples = Vec::new();
    for block in guide.split("\n```").filter(|block| block.starts_with("toml ") || block.starts_with("sql ")) {
        let (head, text) = block.split_once('\n').unwrap();
        examples.push((head.split_once(' ').unwrap().1.to_owned(), format!("{text}\n")));
    }
    examples
}

#[test]
fn every_example_of_the_guide_is_read_without_a_word() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/project-folder.md");
    let examples = examples(&std::fs::read_to_string(guide).unwrap());
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    std::fs::write(folder.path().join("secrets/erp"), "hidden\n").unwrap();
    for (file, text) in &examples {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let loaded = Project::load(folder.path(), &Environment::of([("SHOP_URL", "postgres://u@h/d")]));
    assert_eq!((&loaded.problems, &loaded.notes), (&vec![], &vec![]));
    let project = loaded.sound().unwrap();
    assert_eq!(examples.len(), 7);
    assert_eq!(project.mart(&"finance.daily_sales".parse().unwrap()).unwrap().checks.len(), 9);
    let url = project.source("erp").unwrap().postgres().unwrap().url.expose().to_owned();
    assert_eq!(url, "postgres://naru:hidden@erp.internal/erp?sslmode=require");
}

#[test]
fn the_guide_shows_the_defaults() {
    let minimal = tempfile::tempdir().unwrap();
    std::fs::write(minimal.path().join("naru.toml"), "[project]\nname = \"acme\"\ntimezone = \"Asia/Seoul\"\n")
        .unwrap();
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/project-folder.md");
    let (_, shown) =
        examples(&std::fs::read_to_string(guide).unwrap()).into_iter().find(|(f, _)| f == "naru.toml").unwrap();
    let full = tempfile::tempdir().unwrap();
    std::fs::write(full.path().join("naru.toml"), shown).unwrap();
    let settings = |folder: &tempfile::TempDir| {
        format!("{:?}", Project::load(folder.path(), &Environment::default()).sound().unwrap().settings)
    };
    assert_eq!(settings(&minimal), settings(&full));
}

#[test]
fn the_reference_lists_every_problem_code() {
    let here = env!("CARGO_MANIFEST_DIR");
    let mistakes = std::fs::read_to_string(format!("{here}/src/mistake.rs")).unwrap();
    let reference = std::fs::read_to_string(format!("{here}/../../docs/reference/project-folder.md")).unwrap();
    let codes: Vec<&str> =
        mistakes.split('"').filter(|text| text.starts_with("project.") && !text.contains(' ')).collect();
    assert!(codes.len() > 20, "{codes:?}");
    for code in codes {
        assert!(reference.contains(&format!("| `{code}` |")), "{code}");
    }
}
