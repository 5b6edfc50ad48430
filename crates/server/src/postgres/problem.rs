//! Problems as PostgreSQL errors.
//!
//! Owns: SQLSTATEs, and the error position as clients count it (characters from 1 in the text they sent).

use naru_base::Problem;
use naru_warehouse::WarehouseError;
use pgwire::error::{ErrorInfo, PgWireError};

/// An error of the warehouse; `sql` is the client's text from which the failed statement was taken at byte `start`.
pub fn of_warehouse(error: &WarehouseError, sql: &str, start: usize) -> PgWireError {
    let mut info = info(&error.problem());
    info.position = error.place().map(|place| position(sql, start, place).to_string());
    PgWireError::UserError(Box::new(info))
}

/// A problem without a place.
pub fn of_problem(problem: &Problem) -> PgWireError {
    PgWireError::UserError(Box::new(info(problem)))
}

/// An error that ends the connection.
pub fn fatal(code: &str, message: impl Into<String>, hint: &str) -> PgWireError {
    let mut info = ErrorInfo::new("FATAL".to_owned(), code.to_owned(), message.into());
    info.hint = Some(hint.to_owned());
    PgWireError::UserError(Box::new(info))
}

/// An error with its own SQLSTATE.
pub fn of_state(code: &str, message: impl Into<String>) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), code.to_owned(), message.into())))
}

fn info(problem: &Problem) -> ErrorInfo {
    let mut info = ErrorInfo::new("ERROR".to_owned(), state(&problem.code).to_owned(), problem.summary.clone());
    info.severity_nonlocalized = Some("ERROR".to_owned());
    info.detail.clone_from(&problem.detail);
    info.hint.clone_from(&problem.hint);
    info
}

/// The SQLSTATE nearest to a code.
fn state(code: &str) -> &'static str {
    match code {
        "sql.syntax" | "sql.empty" => "42601",
        "sql.no_table" => "42P01",
        "sql.name" => "42703",
        "sql.type" => "42804",
        "sql.unsupported" | "sql.refused" => "0A000",
        "sql.value" => "22000",
        "sql.time_zone" => "22023",
        "sql.out_of_memory" => "53200",
        "sql.spill_full" => "53100",
        "sql.cancelled" | "sql.timed_out" => "57014",
        "access.right_taken" => "42501",
        "audit.behind" | "audit.closed" => "53000",
        _ => "XX000",
    }
}

/// Line and column within the statement, both from 1, as a count of characters in the whole text.
fn position(sql: &str, start: usize, (line, column): (usize, usize)) -> usize {
    let before = sql.get(..start).unwrap_or_default().chars().count();
    let statement = sql.get(start..).unwrap_or_default();
    let lines = statement.split_inclusive('\n').take(line.saturating_sub(1));
    before + lines.map(|line| line.chars().count()).sum::<usize>() + column
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_characters_of_the_whole_text() {
        let sql = "SELECT '가';\nSELECT\n  x";
        let start = sql.find(';').map_or(0, |at| at + 1);
        let at = position(sql, start, (3, 3));
        assert_eq!(sql.chars().nth(at - 1), Some('x'));
    }
}
