//! Whatever stands in a file, reading it ends without a panic, and every place is inside the file.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use naru_project::{Environment, FileKind, problems_in};
use proptest::prelude::*;

const FILES: [(FileKind, &str); 4] = [
    (
        FileKind::Settings,
        "[project]\nname = \"acme\"\ntimezone = \"Asia/Seoul\"\n[lake]\nflush_interval = \"5s\"\n[server]\nhttp = \"127.0.0.1:0\"\n",
    ),
    (
        FileKind::Source,
        "kind = \"postgres\"\nurl = \"${SHOP_URL}\"\ninclude = [\"public.*\", \"유럽.[ab]{c,d}\"]\n[copy]\nhours = \"22:00-06:00\"\n[tables.\"public.a\"]\ndeletion_vectors = true\n",
    ),
    (
        FileKind::Topic,
        "partition = \"day(at)\"\n[columns]\nat = \"TIMESTAMP\"\ntags = \"ARRAY<STRUCT<a INT64, 나 STRING>>\"\n",
    ),
    (
        FileKind::Mart,
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
    fn no_text_breaks_the_reader(which in 0..FILES.len(), edits in edits()) {
        let (kind, text) = FILES[which];
        let text = mutated(text, &edits);
        check_places(kind, &text)?;
    }

    #[test]
    fn no_noise_breaks_the_reader(text in "(\\PC|[\n\"'{}\\[\\]=:#*/]){0,200}") {
        for kind in FileKind::ALL {
            check_places(kind, &text)?;
            check_places(kind, &format!("/* naru\n{text}\n*/"))?;
        }
    }
}

#[test]
fn deep_and_long_texts_end_in_problems_and_not_in_a_crash() {
    let deep = "[".repeat(200_000);
    let dotted = format!("{}x = 1", "a.".repeat(50_000));
    let doubling = (1..40).fold(
        "a0: &a0 [x]
"
        .to_owned(),
        |text, n| {
            format!(
                "{text}a{n}: &a{n} [*a{0}, *a{0}]
",
                n - 1
            )
        },
    );
    for kind in FileKind::ALL {
        for text in [&deep, &format!("a = {deep}"), &dotted, &"{a: ".repeat(100_000), &"- ".repeat(100_000), &doubling]
        {
            check_places(kind, text).unwrap();
            check_places(kind, &format!("/* naru\n{text}\n*/ SELECT 1")).unwrap();
        }
    }
}

/// Every problem stands on a line of the text.
fn check_places(kind: FileKind, text: &str) -> Result<(), TestCaseError> {
    let lines = text.split('\n').count();
    for problem in problems_in(kind, text, &Environment::of([("SHOP_URL", "postgres://u@h/d")])) {
        let place = problem.place.as_ref().unwrap();
        prop_assert!(place.line >= 1 && place.column >= 1 && place.line <= lines, "{problem}");
    }
    Ok(())
}

/// `NARU_TEST_SCALE` multiplies the cases; proptest prints the seed of a failure and keeps it.
fn cases() -> u32 {
    let scale: u32 = std::env::var("NARU_TEST_SCALE").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    512 * scale
}
