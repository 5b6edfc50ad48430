//! Whatever stands in a file, reading it ends without a panic, and every place is inside the file.
#![allow(clippy::unwrap_used, missing_docs)]

use naru_project::{Environment, Project};
use proptest::prelude::*;

const FILES: [(&str, &str); 4] = [
    (
        "naru.toml",
        "[project]\nname = \"acme\"\ntimezone = \"Asia/Seoul\"\n[lake]\nflush_interval = \"5s\"\n[server]\nhttp = \"127.0.0.1:0\"\n",
    ),
    (
        "sources/shop.toml",
        "kind = \"postgres\"\nurl = \"${SHOP_URL}\"\ninclude = [\"public.*\", \"유럽.[ab]{c,d}\"]\n[copy]\nhours = \"22:00-06:00\"\n[tables.\"public.a\"]\ndeletion_vectors = true\n",
    ),
    (
        "topics/log.toml",
        "partition = \"day(at)\"\n[columns]\nat = \"TIMESTAMP\"\ntags = \"ARRAY<STRUCT<a INT64, 나 STRING>>\"\n",
    ),
    (
        "marts/a/x.sql",
        "/* naru\nkind: table\nschedule: \"0 6 * * 1-5\"\nlimits: {timeout: 1h30m}\nchecks: [{unique: [a, b]}, {warn: {not_null: 매출}}, &x {unique: a}, *x]\n*/\nSELECT '나루'",
    ),
];

/// Cuts, repeats and overwrites pieces of a text at character boundaries.
fn mutated(text: &str, edits: &[(usize, usize, String)]) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for (at, length, with) in edits {
        let at = at % (letters.len() + 1);
        let end = (at + length).min(letters.len());
        letters.splice(at..end, with.chars());
    }
    letters.into_iter().collect()
}

fn edits() -> impl Strategy<Value = Vec<(usize, usize, String)>> {
    let piece = prop_oneof![
        Just(String::new()),
        Just("\"".to_owned()),
        Just("${".to_owned()),
        Just("*/".to_owned()),
        Just("[[".to_owned()),
        Just("\n\n  ".to_owned()),
        Just("{{{{{{{{".to_owned()),
        Just("&a [*a]".to_owned()),
        Just("99999999999999999999999".to_owned()),
        Just("\u{feff}\u{0}\r".to_owned()),
        "\\PC{0,6}",
    ];
    prop::collection::vec((0..400_usize, 0..12_usize, piece), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn no_text_breaks_the_reader(which in 0..4_usize, edits in edits()) {
        let folder = tempfile::tempdir().unwrap();
        for (at, (file, text)) in FILES.iter().enumerate() {
            let text = if at == which { mutated(text, &edits) } else { (*text).to_owned() };
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let loaded = Project::load(folder.path(), &Environment::of([("SHOP_URL", "postgres://u@h/d")]));
        for problem in loaded.problems.iter().chain(&loaded.notes) {
            let place = problem.place.as_ref().unwrap();
            let lines = std::fs::read_to_string(folder.path().join(&place.file)).unwrap_or_default();
            prop_assert!(place.line >= 1 && place.column >= 1);
            prop_assert!(place.line <= lines.split('\n').count(), "{problem}");
        }
    }
}

/// `NARU_TEST_SCALE` multiplies the cases; proptest prints the seed of a failure and keeps it.
fn cases() -> u32 {
    let scale: u32 = std::env::var("NARU_TEST_SCALE").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    256 * scale
}
