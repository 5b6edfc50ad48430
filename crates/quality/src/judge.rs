//! From what a check's query returned to a verdict.
//!
//! Owns: the judgement and the bounds on what a verdict keeps. Never runs a query and never stores a verdict.

use std::time::Duration;

use naru_base::Problem;
use serde_json::{Map, Value};

use crate::{
    compile::CompiledCheck,
    verdict::{FailingRows, Outcome, Severity, Verdict},
};

/// Failing rows that a verdict keeps: enough to see the pattern, few enough not to be a copy of the table.
pub const SAMPLE_ROWS_MAX: usize = 5;

/// Characters of one text value in a kept row.
const SAMPLE_TEXT_CHARACTERS_MAX: usize = 200;

/// Judges one check by what its query returned, or by why it could not run.
pub fn judge(check: &CompiledCheck, found: Result<FailingRows, Problem>, elapsed: Duration) -> Verdict {
    let (outcome, failing, detail, sample) = match found {
        Ok(rows) if rows.count == 0 => (Outcome::Pass, 0, None, Vec::new()),
        Ok(rows) => {
            let outcome = match check.severity {
                Severity::Block => Outcome::Block,
                Severity::Warn => Outcome::Warn,
            };
            (outcome, rows.count, Some(found_text(rows.count)), bounded(rows.sample))
        }
        Err(problem) => (Outcome::Error, 0, Some(reason(&problem)), Vec::new()),
    };
    Verdict {
        check: check.name.clone(),
        severity: check.severity,
        outcome,
        failing,
        detail,
        sql: check.sql.clone(),
        sample,
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
    }
}

fn found_text(count: u64) -> String {
    match count {
        1 => "Its query returned 1 row.".to_owned(),
        many => format!("Its query returned {many} rows."),
    }
}

fn reason(problem: &Problem) -> String {
    match &problem.detail {
        Some(detail) => format!("It could not run: {}. {detail}", problem.summary),
        None => format!("It could not run: {}.", problem.summary),
    }
}

fn bounded(mut sample: Vec<Map<String, Value>>) -> Vec<Map<String, Value>> {
    sample.truncate(SAMPLE_ROWS_MAX);
    for value in sample.iter_mut().flat_map(Map::values_mut) {
        shorten(value);
    }
    sample
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(SAMPLE_TEXT_CHARACTERS_MAX) {
                text.truncate(end);
                text.push('…');
            }
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use naru_base::Place;
    use serde_json::json;

    use super::*;

    fn check(severity: Severity) -> CompiledCheck {
        let place = Place { file: "marts/a/t.sql".into(), line: 1, column: 1 };
        CompiledCheck { name: "c".into(), severity, sql: "SELECT 1".into(), place, handwritten: false }
    }

    #[test]
    fn only_a_blocking_check_that_failed_or_could_not_run_blocks() {
        let rows = |count| Ok(FailingRows { count, sample: Vec::new() });
        let broken = || Err(Problem::new("sql.x", "no such column"));
        let cases = [
            (Severity::Block, rows(0), Outcome::Pass, false),
            (Severity::Block, rows(3), Outcome::Block, true),
            (Severity::Block, broken(), Outcome::Error, true),
            (Severity::Warn, rows(0), Outcome::Pass, false),
            (Severity::Warn, rows(3), Outcome::Warn, false),
            (Severity::Warn, broken(), Outcome::Error, false),
        ];
        for (severity, found, outcome, blocks) in cases {
            let verdict = judge(&check(severity), found, Duration::from_millis(7));
            assert_eq!((verdict.outcome, verdict.blocks(), verdict.elapsed_ms), (outcome, blocks, 7));
        }
    }

    #[test]
    fn a_verdict_keeps_few_rows_and_short_texts() {
        let row = json!({"a": "가".repeat(500), "b": {"c": ["x".repeat(300)]}}).as_object().unwrap().clone();
        let found = FailingRows { count: 100, sample: vec![row; 50] };
        let verdict = judge(&check(Severity::Block), Ok(found), Duration::ZERO);
        assert_eq!((verdict.sample.len(), verdict.failing), (SAMPLE_ROWS_MAX, 100));
        assert_eq!(verdict.sample[0]["a"].as_str().unwrap().chars().count(), SAMPLE_TEXT_CHARACTERS_MAX + 1);
        assert_eq!(verdict.sample[0]["b"]["c"][0].as_str().unwrap().len(), SAMPLE_TEXT_CHARACTERS_MAX + "…".len());
    }
}
