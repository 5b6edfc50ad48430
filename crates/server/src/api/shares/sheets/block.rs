//! A block of cells as the Sheets API takes it.
//!
//! Owns: pure functions from rows to requests. Text goes as `stringValue`, which Google never reads as a formula; dates
//! go as numbers with a date's form. Source: "REST Resource: spreadsheets", "Updating Spreadsheets".

use naru_base::Problem;
use naru_warehouse::output::SheetValue;
use serde_json::{Value, json};

/// Characters of a cell.
const CELL_CHARACTERS_MAX: usize = 50_000;
/// What of a cell is ours.
const FIELDS: &str = "userEnteredValue,userEnteredFormat.numberFormat";

/// A rectangle: first row and column from 0, and how many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub row: u64,
    pub column: u64,
    pub rows: u64,
    pub columns: u64,
}

impl Area {
    /// What this area has that `other`, which begins at the same cell, has not: cells to the right, cells below.
    pub(super) fn beyond(self, other: Self) -> Vec<Self> {
        let right = Self {
            column: self.column + other.columns,
            columns: self.columns.saturating_sub(other.columns),
            rows: self.rows.min(other.rows),
            ..self
        };
        let below = Self { row: self.row + other.rows, rows: self.rows.saturating_sub(other.rows), ..self };
        [right, below].into_iter().filter(|area| area.rows > 0 && area.columns > 0).collect()
    }

    /// The part of it that a sheet of this size has.
    pub(super) fn within(self, rows: u64, columns: u64) -> Option<Self> {
        let cut = Self {
            rows: self.rows.min(rows.saturating_sub(self.row)),
            columns: self.columns.min(columns.saturating_sub(self.column)),
            ..self
        };
        (cut.rows > 0 && cut.columns > 0).then_some(cut)
    }

    /// As formulas write it: `'매출'!B2:D9`.
    pub(super) fn a1(self, sheet: &str) -> String {
        let last = (self.row + self.rows, self.column + self.columns - 1);
        let title = sheet.replace('\'', "''");
        format!("'{title}'!{}{}:{}{}", letters(self.column), self.row + 1, letters(last.1), last.0)
    }

    fn range(self, sheet: i64) -> Value {
        json!({
            "sheetId": sheet,
            "startRowIndex": self.row,
            "endRowIndex": self.row + self.rows,
            "startColumnIndex": self.column,
            "endColumnIndex": self.column + self.columns,
        })
    }
}

/// A column's letters: 0 is A, 26 is AA.
fn letters(mut column: u64) -> String {
    let mut found = Vec::new();
    loop {
        found.push(char::from(b'A' + u8::try_from(column % 26).unwrap_or(0)));
        match (column / 26).checked_sub(1) {
            Some(rest) => column = rest,
            None => return found.into_iter().rev().collect(),
        }
    }
}

/// Reads a cell as formulas write it: `B2` is row 1, column 1, both from 0.
pub(super) fn cell_at(text: &str) -> Option<(u64, u64)> {
    let split = text.find(|c: char| c.is_ascii_digit())?;
    let (letters, digits) = text.split_at_checked(split)?;
    let column = letters.chars().try_fold(0_u64, |sum, letter| {
        let digit = u64::from(u32::from(letter.to_ascii_uppercase()).checked_sub(u32::from('A'))?);
        (digit < 26).then(|| sum * 26 + digit + 1).filter(|sum| *sum <= 18_278)
    })?;
    let row: u64 = digits.parse().ok().filter(|row| (1..=10_000_000).contains(row))?;
    Some((row - 1, column.checked_sub(1)?))
}

/// One cell.
///
/// # Errors
/// A text that is longer than a cell.
pub(super) fn cell(value: SheetValue) -> Result<Value, Problem> {
    let number = |number: f64, kind: &str, pattern: &str| {
        json!({
            "userEnteredValue": {"numberValue": number},
            "userEnteredFormat": {"numberFormat": {"type": kind, "pattern": pattern}},
        })
    };
    Ok(match value {
        SheetValue::Empty => json!({}),
        SheetValue::Number(number) => json!({"userEnteredValue": {"numberValue": number}}),
        SheetValue::Truth(truth) => json!({"userEnteredValue": {"boolValue": truth}}),
        SheetValue::Date(days) => number(days, "DATE", "yyyy-mm-dd"),
        SheetValue::DateTime(days) => number(days, "DATE_TIME", "yyyy-mm-dd hh:mm:ss"),
        SheetValue::Time(part) => number(part, "TIME", "hh:mm:ss"),
        SheetValue::Text(text) if text.encode_utf16().count() > CELL_CHARACTERS_MAX => {
            return Err(Problem::new("sheets.text", "a text is longer than the 50,000 characters of a cell")
                .hint("Shorten it with LEFT or SUBSTR in the query."));
        }
        SheetValue::Text(text) => json!({"userEnteredValue": {"stringValue": text}}),
    })
}

/// Writes lines of cells from a cell on; every line has all cells, so nothing of what stood there stays.
pub(super) fn write(sheet: i64, row: u64, column: u64, lines: Vec<Vec<Value>>) -> Value {
    let rows: Vec<Value> = lines.into_iter().map(|cells| json!({"values": cells})).collect();
    let start = json!({"sheetId": sheet, "rowIndex": row, "columnIndex": column});
    json!({"updateCells": {"start": start, "rows": rows, "fields": FIELDS}})
}

/// Empties an area.
pub(super) fn clear(sheet: i64, area: Area) -> Value {
    json!({"updateCells": {"range": area.range(sheet), "fields": FIELDS}})
}

/// Makes a sheet at least this large; sent again it changes nothing.
pub(super) fn grow(sheet: i64, rows: u64, columns: u64) -> Value {
    json!({"updateSheetProperties": {
        "properties": {"sheetId": sheet, "gridProperties": {"rowCount": rows, "columnCount": columns}},
        "fields": "gridProperties.rowCount,gridProperties.columnCount",
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_the_names_that_formulas_use() {
        for (text, at) in [("A1", (0, 0)), ("b2", (1, 1)), ("AA10", (9, 26)), ("ZZZ1", (0, 18_277))] {
            assert_eq!(cell_at(text), Some(at), "{text}");
        }
        for text in ["", "A", "1", "A0", "AAAA1", "A1B", "가1"] {
            assert_eq!(cell_at(text), None, "{text}");
        }
        let area = Area { row: 1, column: 26, rows: 2, columns: 1 };
        assert_eq!(area.a1("매출'표"), "'매출''표'!AA2:AA3");
    }

    #[test]
    fn what_is_new_of_a_larger_block_is_to_the_right_and_below() {
        let block = |rows, columns| Area { row: 2, column: 1, rows, columns };
        assert_eq!(block(3, 2).beyond(block(5, 2)), []);
        assert_eq!(block(0, 0).beyond(block(0, 0)), []);
        let new = block(6, 4).beyond(block(5, 2));
        assert_eq!(
            new,
            [Area { row: 2, column: 3, rows: 5, columns: 2 }, Area { row: 7, column: 1, rows: 1, columns: 4 }]
        );
        assert_eq!(block(6, 4).beyond(block(0, 0)), [block(6, 4)]);
        assert_eq!(block(6, 4).within(4, 2), Some(block(2, 1)));
        assert_eq!(block(6, 4).within(2, 9), None);
    }
}
