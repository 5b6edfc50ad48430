//! Boolean SQL texts as checks: `row_count > 100`, `amount >= 0`, `SUM(tax) <= SUM(amount)`.
//!
//! Owns: telling a text about the whole table from one about each row, and the query for either.
//! Never parses SQL beyond finding words outside quotes and comments.

/// Functions whose presence makes a text speak of the whole table.
const AGGREGATES: [&str; 22] = [
    "ANY_VALUE",
    "APPROX_COUNT_DISTINCT",
    "ARRAY_AGG",
    "AVG",
    "BIT_AND",
    "BIT_OR",
    "BIT_XOR",
    "CORR",
    "COUNT",
    "COUNTIF",
    "COVAR_POP",
    "COVAR_SAMP",
    "LOGICAL_AND",
    "LOGICAL_OR",
    "MAX",
    "MIN",
    "STDDEV",
    "STDDEV_SAMP",
    "STRING_AGG",
    "SUM",
    "VARIANCE",
    "VAR_SAMP",
];

/// The word that stands for the number of rows. A column of that name is written between backticks.
const ROW_COUNT: &str = "row_count";

/// The query that returns a row where `condition` does not hold for the table called `from` in SQL.
///
/// About the whole table (it has `row_count` or an aggregate function): one row if it is false or NULL, since a promise
/// that cannot be computed is not kept. About each row: every row for which it is false; NULL passes, as in SQL's CHECK.
pub fn failing_rows(from: &str, condition: &str) -> String {
    let words = words(condition);
    let counts = words.iter().any(|word| word.text.eq_ignore_ascii_case(ROW_COUNT));
    let aggregates =
        words.iter().any(|word| word.called && AGGREGATES.iter().any(|name| name.eq_ignore_ascii_case(word.text)));
    // The line break ends a comment that the text may end with.
    if counts || aggregates {
        let counted = with_row_count(condition, &words);
        return format!(
            "SELECT row_count FROM (SELECT COUNT(*) AS row_count, ({counted}\n) AS holds FROM {from}) \
             WHERE NOT COALESCE(holds, FALSE)"
        );
    }
    format!("SELECT * FROM {from} WHERE NOT ({condition}\n)")
}

/// A word outside quotes and comments.
#[derive(Debug, PartialEq, Eq)]
struct Word<'a> {
    text: &'a str,
    /// Byte offset in the condition.
    at: usize,
    /// Whether a parenthesis follows.
    called: bool,
}

fn with_row_count(condition: &str, words: &[Word<'_>]) -> String {
    let mut text = String::with_capacity(condition.len());
    let mut copied = 0;
    for word in words.iter().filter(|word| word.text.eq_ignore_ascii_case(ROW_COUNT)) {
        text.push_str(condition.get(copied..word.at).unwrap_or_default());
        text.push_str("COUNT(*)");
        copied = word.at + word.text.len();
    }
    text.push_str(condition.get(copied..).unwrap_or_default());
    text
}

fn words(condition: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(rest) = condition.get(at..).filter(|rest| !rest.is_empty()) {
        let skipped = quoted_length(rest).or_else(|| comment_length(rest));
        if let Some(length) = skipped {
            at += length;
            continue;
        }
        let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        if length == 0 {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        let (text, after) = rest.split_at(length);
        words.push(Word { text, at, called: after.trim_start().starts_with('(') });
        at += length;
    }
    words
}

/// Bytes of the quoted text that `rest` begins with; an unclosed one runs to the end.
fn quoted_length(rest: &str) -> Option<usize> {
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"' | '`'))?;
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return Some(at + character.len_utf8());
        }
    }
    Some(rest.len())
}

fn comment_length(rest: &str) -> Option<usize> {
    if rest.starts_with("--") || rest.starts_with('#') {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    let inside = rest.strip_prefix("/*")?;
    Some(inside.find("*/").map_or(rest.len(), |at| at + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_about_the_table_is_judged_once_and_one_about_rows_for_each() {
        let table = [
            ("row_count > 100", "COUNT(*) > 100"),
            ("Row_Count > 0 AND SUM(x) / row_count < 5", "COUNT(*) > 0 AND SUM(x) / COUNT(*) < 5"),
            ("max (day) >= CURRENT_DATE()", "max (day) >= CURRENT_DATE()"),
        ];
        for (text, counted) in table {
            let expected = format!(
                "SELECT row_count FROM (SELECT COUNT(*) AS row_count, ({counted}\n) AS holds FROM t) \
                 WHERE NOT COALESCE(holds, FALSE)"
            );
            assert_eq!(failing_rows("t", text), expected);
        }
        for text in ["amount >= 0", "max > min", "status != 'SUM(row_count)'", "`row_count` > 1 -- row_count"] {
            assert_eq!(failing_rows("t", text), format!("SELECT * FROM t WHERE NOT ({text}\n)"));
        }
    }

    #[test]
    fn quotes_and_comments_hide_words_even_when_they_never_end() {
        for text in ["'sum(", "\"it\\\"s sum(", "/* sum(", "`가 sum(", "# sum(1)"] {
            assert_eq!(words(text), []);
        }
        assert_eq!(words("매출 > 1").len(), 2);
    }
}
