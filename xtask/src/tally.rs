//! Counts tests from the summaries that test runners print.
//!
//! Owns: the two spellings (cargo test, nextest). Never runs anything.

/// Tests that ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Held their promise.
    pub passed: u64,
    /// Did not, or a check that failed as a whole.
    pub failed: u64,
}

impl Tally {
    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// Counts one line of a runner's output, if it is a summary.
    ///
    /// nextest: `Summary [ 1.2s] 30 tests run: 28 passed (1 slow), 2 failed, 0 skipped`.
    /// cargo test: `test result: ok. 12 passed; 0 failed; 0 ignored; …`.
    pub fn read(&mut self, line: &str) {
        let line = without_colours(line);
        // nextest shows the output of a failed test again, indented: its summary is not counted twice.
        let counts = if let Some(rest) = line.strip_prefix("test result: ") {
            rest.to_owned()
        } else if line.trim_start().starts_with("Summary [") && line.contains(" run: ") {
            line.split_once(" run: ").map(|(_, rest)| rest.to_owned()).unwrap_or_default()
        } else {
            return;
        };
        self.passed += number_before(&counts, "passed");
        self.failed +=
            number_before(&counts, "failed") + number_before(&counts, "timed") + number_before(&counts, "exec");
    }
}

/// The number that stands as the word before `word`; 0 if there is none.
fn number_before(text: &str, word: &str) -> u64 {
    let words: Vec<&str> = text.split([' ', ';', ',', '(', ')']).filter(|part| !part.is_empty()).collect();
    words
        .windows(2)
        .find_map(|pair| match pair {
            [number, follower] if *follower == word => number.parse().ok(),
            _ => None,
        })
        .unwrap_or(0)
}

fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            letters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(letter);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str]) -> (u64, u64) {
        let mut tally = Tally::default();
        for line in lines {
            tally.read(line);
        }
        (tally.passed, tally.failed)
    }

    #[test]
    fn both_runners_are_counted() {
        assert_eq!(tally(&["     Summary [  12.3s] 30 tests run: 28 passed (1 slow), 2 failed, 5 skipped"]), (28, 2));
        assert_eq!(
            tally(&["\u{1b}[1mSummary [ 0.1s]\u{1b}[0m \u{1b}[1m3\u{1b}[0m tests run: 3 passed, 0 skipped"]),
            (3, 0)
        );
        assert_eq!(tally(&["Summary [ 0.1s] 3/9 tests run: 1 passed, 1 failed, 1 timed out, 0 skipped"]), (1, 2));
        assert_eq!(
            tally(&[
                "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
                "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            ]),
            (13, 2)
        );
    }

    #[test]
    fn lines_that_are_no_summary_count_nothing() {
        assert_eq!(tally(&["running 3 tests", "3 passed", "test a ... ok", ""]), (0, 0));
    }
}
