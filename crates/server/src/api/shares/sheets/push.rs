//! Writing one block in place.
//!
//! Owns: the order in which a block is written, so that a break at any point leaves cells that the next run knows to be
//! its own: the larger of the old and the new size is stored first, then cells are written, then the new size is stored.
//! Never touches a cell outside, and never writes over what somebody put where the block would grow.

use naru_base::{Problem, number::u64_from};
use naru_store::{
    Store,
    shares::{self, Sheet},
};
use naru_warehouse::{
    jobs::{Finished, JobError},
    output::{SheetValue, sheet_columns},
};
use serde_json::{Value, json};

use super::{
    Google,
    block::{self, Area},
};

/// Cells that a spreadsheet holds.
const SPREADSHEET_CELLS_MAX: u64 = 10_000_000;
/// Bytes of one request; Google advises two million.
const REQUEST_BYTES: usize = 2_000_000;
/// Lines above the rows: how old they are, and the names of the columns.
const LINES_ABOVE: u64 = 2;

/// A tab of a spreadsheet.
struct Tab {
    id: i64,
    rows: u64,
    columns: u64,
    /// Cells of all tabs.
    all_cells: u64,
}

/// Writes the rows of a finished job into a block, `note` above them.
///
/// # Errors
/// Nothing was written when the problem is `sheets.occupied`, `sheets.too_large`, `sheets.no_tab` or `sheets.text`; after
/// others a part may have been, and the next run mends it.
pub(super) async fn push(
    google: &Google,
    store: &Store,
    sheet: &Sheet,
    rows: &Finished,
    note: String,
) -> Result<(), Problem> {
    let new = Area {
        row: sheet.at.0,
        column: sheet.at.1,
        rows: rows.view.rows + LINES_ABOVE,
        columns: u64_from(rows.rows.schema().fields().len()).max(1),
    };
    let old = Area { rows: sheet.block.0, columns: sheet.block.1, ..new };
    let tab = tab(google, sheet).await?;
    let grown = (tab.rows.max(new.row + new.rows), tab.columns.max(new.column + new.columns));
    if tab.all_cells - tab.rows * tab.columns + grown.0 * grown.1 > SPREADSHEET_CELLS_MAX {
        let problem = Problem::new("sheets.too_large", "the spreadsheet would have more than 10,000,000 cells");
        return Err(problem.hint("Share fewer rows or columns, or use a spreadsheet of its own."));
    }
    check_free(google, sheet, &tab, new, old).await?;
    let (id, claimed) = (sheet.id, (old.rows.max(new.rows), old.columns.max(new.columns)));
    set_block(store, id, claimed).await?;
    let mut requests = Requests { google, spreadsheet: &sheet.spreadsheet, held: Vec::new(), bytes: 0 };
    if grown != (tab.rows, tab.columns) {
        requests.add(block::grow(tab.id, grown.0, grown.1)).await?;
    }
    write_rows(&mut requests, &tab, new, rows).await?;
    for area in old.beyond(new) {
        if let Some(area) = area.within(grown.0, grown.1) {
            requests.add(block::clear(tab.id, area)).await?;
        }
    }
    // The note goes last: while it is the old one, so may rows be.
    let note = line(vec![SheetValue::Text(note)], new.columns)?;
    requests.add(block::write(tab.id, new.row, new.column, vec![note])).await?;
    requests.send().await?;
    set_block(store, id, (new.rows, new.columns)).await
}

async fn set_block(store: &Store, id: i64, (rows, columns): (u64, u64)) -> Result<(), Problem> {
    let stored = store.write(move |tx| shares::set_block(tx, id, rows, columns)).await;
    stored.map_err(|error| error.problem())
}

async fn tab(google: &Google, sheet: &Sheet) -> Result<Tab, Problem> {
    let path = format!("/v4/spreadsheets/{}", sheet.spreadsheet);
    let fields = "sheets.properties(sheetId,title,gridProperties(rowCount,columnCount))";
    let found = google.get(&path, &[("fields", fields)]).await?;
    let all = found["sheets"].as_array().cloned().unwrap_or_default();
    let count = |tab: &Value, what: &str| tab["properties"]["gridProperties"][what].as_u64().unwrap_or(0);
    let all_cells = all.iter().map(|tab| count(tab, "rowCount") * count(tab, "columnCount")).sum();
    let own = all.iter().find(|tab| tab["properties"]["title"].as_str() == Some(&sheet.sheet));
    let Some(own) = own else {
        let problem = Problem::new("sheets.no_tab", format!("the spreadsheet has no tab \"{}\"", sheet.sheet));
        return Err(problem.hint("Make it, or share into another one; a tab that was renamed is shared anew."));
    };
    let id = own["properties"]["sheetId"].as_i64().unwrap_or(0);
    Ok(Tab { id, rows: count(own, "rowCount"), columns: count(own, "columnCount"), all_cells })
}

/// Refuses to write where somebody else has.
async fn check_free(google: &Google, sheet: &Sheet, tab: &Tab, new: Area, old: Area) -> Result<(), Problem> {
    for area in new.beyond(old) {
        let Some(area) = area.within(tab.rows, tab.columns) else { continue };
        let range = area.a1(&sheet.sheet);
        let path = format!("/v4/spreadsheets/{}/values:batchGet", sheet.spreadsheet);
        let found = google.get(&path, &[("ranges", &range), ("majorDimension", "ROWS")]).await?;
        let lines = found["valueRanges"][0]["values"].as_array().cloned().unwrap_or_default();
        let is_empty = |cell: &Value| cell.as_str() == Some("");
        if lines.iter().filter_map(Value::as_array).flatten().any(|cell| !is_empty(cell)) {
            let problem = Problem::new("sheets.occupied", format!("cells of {range} are not empty"))
                .detail("The rows would be written over what somebody put there.");
            return Err(problem.hint("Move those cells, or share into another place; only empty cells are taken."));
        }
    }
    Ok(())
}

async fn write_rows(requests: &mut Requests<'_>, tab: &Tab, area: Area, rows: &Finished) -> Result<(), Problem> {
    let names = rows.rows.schema().fields().iter().map(|field| SheetValue::Text(field.name().clone())).collect();
    let mut row = area.row + LINES_ABOVE - 1;
    requests.add(block::write(tab.id, row, area.column, vec![line(names, area.columns)?])).await?;
    row += 1;
    for batch in rows.rows.clone().batches() {
        // A part of a result is read within milliseconds.
        let batch = batch.map_err(|error| JobError::from(error).problem())?;
        let columns = sheet_columns(&batch).map_err(|error| error.problem())?;
        let (mut lines, mut bytes) = (Vec::new(), 0);
        for at in 0..batch.num_rows() {
            let cells = line(columns.iter().map(|column| column.value(at)).collect(), area.columns)?;
            bytes += cells.iter().map(|cell| cell.to_string().len() + 1).sum::<usize>();
            lines.push(cells);
            if bytes >= REQUEST_BYTES || at + 1 == batch.num_rows() {
                let count = u64_from(lines.len());
                requests.add(block::write(tab.id, row, area.column, std::mem::take(&mut lines))).await?;
                (row, bytes) = (row + count, 0);
            }
        }
    }
    Ok(())
}

/// A line of the block: the values, then nothing.
fn line(values: Vec<SheetValue>, columns: u64) -> Result<Vec<Value>, Problem> {
    let mut cells: Vec<Value> = values.into_iter().map(block::cell).collect::<Result<_, _>>()?;
    cells.resize(naru_base::number::usize_from(columns), json!({}));
    Ok(cells)
}

/// Requests that go out together, as many as fit; a block of ordinary size is one, and Google applies it whole or not.
struct Requests<'a> {
    google: &'a Google,
    spreadsheet: &'a str,
    held: Vec<Value>,
    bytes: usize,
}

impl Requests<'_> {
    async fn add(&mut self, request: Value) -> Result<(), Problem> {
        let bytes = request.to_string().len();
        if self.bytes + bytes > REQUEST_BYTES {
            self.send().await?;
        }
        self.bytes += bytes;
        self.held.push(request);
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Problem> {
        if self.held.is_empty() {
            return Ok(());
        }
        let body = json!({"requests": std::mem::take(&mut self.held)});
        self.bytes = 0;
        self.google.post(&format!("/v4/spreadsheets/{}:batchUpdate", self.spreadsheet), &body).await.map(drop)
    }
}
