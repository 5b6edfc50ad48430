//! Flow's eyes for SQL: GoogleSQL's parser.

use naru_flow::{SqlFront, SqlMistake, TableRead};
use naru_googlesql::{SqlError, StatementKind, kind, parse, tables};

/// Reads mart texts with the parser that will run them.
#[derive(Debug, Clone, Copy)]
pub struct Front;

impl SqlFront for Front {
    fn tables_read(&self, sql: &str) -> Result<Vec<TableRead>, SqlMistake> {
        let mut parsed = parse(sql).map_err(|error| mistake(&error, sql))?;
        // A file without SQL is told by the folder's own reading.
        let Some(statement) = parsed.pop() else { return Ok(Vec::new()) };
        let refused = |summary: &str, hint: &str| SqlMistake {
            summary: summary.to_owned(),
            hint: Some(hint.to_owned()),
            line: Some(1),
            column: Some(1),
        };
        if !parsed.is_empty() {
            return Err(refused("a mart is exactly one query", "Keep one SELECT in the file; make a mart of each."));
        }
        match kind(&statement) {
            StatementKind::Query => {}
            StatementKind::CreateTable | StatementKind::CreateView => {
                let hint = "Keep the SELECT behind AS; the file's path names the table, `kind: view` makes a view.";
                return Err(refused("a mart is a query, not a CREATE statement", hint));
            }
            _ => return Err(refused("a mart is a query", "Write a SELECT; its rows become the table.")),
        }
        Ok(tables(&statement)
            .into_iter()
            .map(|name| TableRead { parts: name.parts, line: name.line, column: name.column })
            .collect())
    }
}

fn mistake(error: &SqlError, sql: &str) -> SqlMistake {
    // What is missing at the end has no place of its own.
    let end = || (sql.lines().count().max(1), sql.lines().last().map_or(0, |line| line.chars().count()) + 1);
    let (line, column) = if error.line == 0 { end() } else { (error.line, error.column) };
    SqlMistake { summary: error.message.clone(), hint: error.hint.clone(), line: Some(line), column: Some(column) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mart_is_one_query_and_every_other_text_is_told_with_its_place() {
        assert_eq!(Front.tables_read("SELECT * FROM shop.orders;").unwrap().len(), 1);
        assert!(Front.tables_read("-- nothing\n").unwrap().is_empty());
        for (sql, place, word) in [
            ("SELECT 1; SELECT 2", (1, 1), "exactly one"),
            ("CREATE TABLE x AS SELECT 1 AS a", (1, 1), "CREATE"),
            ("DELETE FROM shop.orders WHERE TRUE", (1, 1), "a query"),
            ("SELECT a\nFROM shop.t WHERE", (2, 18), "EOF"),
            ("SELECT a\nFROM shop.t WHRE x = 1", (2, 18), "x"),
        ] {
            let told = Front.tables_read(sql).unwrap_err();
            assert!(told.summary.contains(word), "{sql}: {told:?}");
            assert_eq!((told.line, told.column), (Some(place.0), Some(place.1)), "{sql}: {told:?}");
        }
    }
}
