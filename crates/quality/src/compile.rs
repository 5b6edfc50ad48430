//! Checks as SQL: each becomes one query that returns a row for everything that is wrong.
//!
//! Owns: [`CompiledCheck`] and the SQL of every rule. The table under test appears under its own name, so that the same
//! text runs over staged rows during a run and over the published table by hand. Never runs a query.
//! Read next: [`crate::condition`] for boolean texts, [`crate::verdict`] for what the answers mean.

use naru_base::{Place, TableId};
use naru_project::{Check, CheckFile, Literal, Rule};

use crate::{condition, verdict::Severity};

/// Characters of a boolean text that are shown in its check's name.
const CONDITION_NAME_CHARACTERS_MAX: usize = 60;

/// A check that is ready to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledCheck {
    /// What people call it: `unique(order_id)`, `checks/totals.sql`.
    pub name: String,
    /// What a failure does.
    pub severity: Severity,
    /// Returns one row for everything that is wrong.
    pub sql: String,
    /// Where a person wrote it.
    pub place: Place,
    /// Whether the SQL holds text that a person wrote, so that it may not parse and may read other tables.
    pub handwritten: bool,
}

/// Compiles one check of `table`'s options. A check that names a file which is not there yields nothing; reading the
/// project folder has reported it.
pub fn compile(check: &Check, table: &TableId, files: &[CheckFile]) -> Option<CompiledCheck> {
    let from = table_name(table);
    let (name, sql, handwritten) = match &check.rule {
        Rule::Unique { columns } => (format!("unique({})", columns.join(", ")), unique(&from, columns), false),
        Rule::NotNull { column } => {
            (format!("not_null({column})"), format!("SELECT * FROM {from} WHERE {} IS NULL", quoted(column)), false)
        }
        Rule::AcceptedValues { column, values } => {
            (format!("accepted_values({column})"), accepted_values(&from, column, values), false)
        }
        Rule::Relationships { column, to, field } => {
            (format!("relationships({column} → {to}.{field})"), relationships(&from, column, to, field), true)
        }
        Rule::Query { file } => {
            let query = files.iter().find(|known| known.sql.source.file() == file)?;
            (file.display().to_string(), query_text(query), true)
        }
        Rule::Condition { sql } => (shortened(sql), condition::failing_rows(&from, sql), true),
    };
    Some(CompiledCheck { name, severity: check.severity.into(), sql, place: check.place.clone(), handwritten })
}

/// Compiles a file of `checks/` that no mart names, for a mart that it reads.
pub fn compile_file(file: &CheckFile) -> CompiledCheck {
    CompiledCheck {
        name: file.sql.source.file().display().to_string(),
        severity: file.severity.into(),
        sql: query_text(file),
        place: file.sql.body_place_at(1, 1),
        handwritten: true,
    }
}

/// A table's name as GoogleSQL reads it whatever characters it has.
pub fn table_name(table: &TableId) -> String {
    format!("{}.{}", quoted(&table.dataset), quoted(&table.table))
}

/// A name between backticks.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// The file's query without the semicolon that may end it, so that it can stand in parentheses.
fn query_text(file: &CheckFile) -> String {
    file.sql.body().trim().trim_end_matches(|c: char| c == ';' || c.is_whitespace()).to_owned()
}

/// Keys that more than one row has. With one column, NULL is no key (as in SQL's UNIQUE; `not_null` is a check of its
/// own); with several, a NULL in one of them is a value like any other, so that a doubled partial key is found.
fn unique(from: &str, columns: &[String]) -> String {
    let keys: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    let keys_text = keys.join(", ");
    let known = match keys.as_slice() {
        [only] => format!(" WHERE {only} IS NOT NULL"),
        _ => String::new(),
    };
    format!("SELECT {keys_text}, COUNT(*) AS rows_with_key FROM {from}{known} GROUP BY {keys_text} HAVING COUNT(*) > 1")
}

fn accepted_values(from: &str, column: &str, values: &[Literal]) -> String {
    let column = quoted(column);
    let values: Vec<String> = values.iter().map(literal).collect();
    format!("SELECT * FROM {from} WHERE {column} IS NOT NULL AND {column} NOT IN ({})", values.join(", "))
}

fn relationships(from: &str, column: &str, to: &TableId, field: &str) -> String {
    let (column, field, to) = (quoted(column), quoted(field), table_name(to));
    format!(
        "SELECT child.* FROM {from} AS child WHERE child.{column} IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM {to} AS parent WHERE parent.{field} = child.{column})"
    )
}

fn literal(value: &Literal) -> String {
    match value {
        Literal::Text(text) => text_literal(text),
        Literal::Number(number) => number.clone(),
        Literal::Boolean(true) => "TRUE".to_owned(),
        Literal::Boolean(false) => "FALSE".to_owned(),
    }
}

/// A GoogleSQL string literal; backslash is its escape character.
fn text_literal(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for character in text.chars() {
        match character {
            '\'' => quoted.push_str("\\'"),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}

fn shortened(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= CONDITION_NAME_CHARACTERS_MAX {
        return line;
    }
    let head: String = line.chars().take(CONDITION_NAME_CHARACTERS_MAX).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql_of(rule: Rule) -> String {
        let place = Place { file: "marts/a/t.sql".into(), line: 1, column: 1 };
        let check = Check { severity: naru_project::Severity::Block, rule, place };
        compile(&check, &TableId::new("a", "t"), &[]).unwrap().sql
    }

    #[test]
    fn every_rule_becomes_a_query_over_the_table_under_its_own_name() {
        let text = |text: &str| text.to_owned();
        let cases = [
            (
                Rule::Unique { columns: vec![text("id")] },
                "SELECT `id`, COUNT(*) AS rows_with_key FROM `a`.`t` WHERE `id` IS NOT NULL GROUP BY `id` HAVING COUNT(*) > 1",
            ),
            (
                Rule::Unique { columns: vec![text("day"), text("매출(원)")] },
                "SELECT `day`, `매출(원)`, COUNT(*) AS rows_with_key FROM `a`.`t` GROUP BY `day`, `매출(원)` HAVING COUNT(*) > 1",
            ),
            (Rule::NotNull { column: text("id") }, "SELECT * FROM `a`.`t` WHERE `id` IS NULL"),
            (
                Rule::AcceptedValues {
                    column: text("s"),
                    values: vec![Literal::Text(text("it's\\")), Literal::Number(text("1.5")), Literal::Boolean(true)],
                },
                "SELECT * FROM `a`.`t` WHERE `s` IS NOT NULL AND `s` NOT IN ('it\\'s\\\\', 1.5, TRUE)",
            ),
            (
                Rule::Relationships { column: text("c"), to: TableId::new("b", "u"), field: text("id") },
                "SELECT child.* FROM `a`.`t` AS child WHERE child.`c` IS NOT NULL AND NOT EXISTS \
                 (SELECT 1 FROM `b`.`u` AS parent WHERE parent.`id` = child.`c`)",
            ),
        ];
        for (rule, expected) in cases {
            assert_eq!(sql_of(rule), expected);
        }
    }

    #[test]
    fn a_name_cannot_leave_its_backticks() {
        assert_eq!(quoted("a`b\\"), "`a\\`b\\\\`");
    }

    #[test]
    fn a_long_condition_has_a_short_name() {
        assert_eq!(shortened("row_count\n  > 100"), "row_count > 100");
        assert_eq!(shortened(&"x".repeat(100)).chars().count(), CONDITION_NAME_CHARACTERS_MAX + 1);
    }
}
