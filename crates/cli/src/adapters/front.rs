//! Flow's eyes for SQL: GoogleSQL's parser.

use naru_flow::{SqlFront, SqlMistake, TableRead};
use naru_googlesql::{SqlError, parse, tables};

/// Reads mart texts with the parser that will run them.
#[derive(Debug, Clone, Copy)]
pub struct Front;

impl SqlFront for Front {
    fn tables_read(&self, sql: &str) -> Result<Vec<TableRead>, SqlMistake> {
        let mut parsed = parse(sql).map_err(|error| mistake(&error))?;
        let (Some(statement), true) = (parsed.pop(), parsed.is_empty()) else {
            return Err(SqlMistake {
                summary: "a mart is exactly one query".into(),
                hint: Some("Keep one SELECT in the file; make a mart of each.".into()),
                line: Some(1),
                column: Some(1),
            });
        };
        Ok(tables(&statement)
            .into_iter()
            .map(|name| TableRead { parts: name.parts, line: name.line, column: name.column })
            .collect())
    }
}

fn mistake(error: &SqlError) -> SqlMistake {
    SqlMistake {
        summary: error.message.clone(),
        hint: error.hint.clone(),
        line: Some(error.line),
        column: Some(error.column),
    }
}
