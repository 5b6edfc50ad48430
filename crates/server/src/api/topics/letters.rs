//! Dead letters as rows of SQL, read as the caller.
//!
//! Owns: the SQL over `topics.<name>__dead`, and its results as JSON. What a caller gives stands in it only as a text
//! literal or a number. Never changes a letter.

use arrow::{
    array::{Array as _, AsArray as _},
    compute::cast,
    datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType},
    record_batch::RecordBatch,
};
use naru_base::{Problem, number::u64_from_signed};
use naru_warehouse::{SessionOptions, Warehouse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tail::raw;
use crate::{api::views::time_text, signin::caller::Caller};

/// Letters that are wrong in the same way, by the same revision of the columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeadKind)]
pub struct Kind {
    /// `table`, or the forward that they died in.
    pub sink: String,
    /// Stable code of what is wrong.
    pub reason: String,
    /// Where in the event; `[*]` stands for any element.
    pub path: String,
    /// What the column takes.
    pub expected: String,
    /// What came.
    pub got: String,
    /// The revision of the columns that they were judged by.
    pub schema_revision: i64,
}

/// A kind of letters, with how many there are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadGroup)]
pub struct Group {
    /// What they have in common.
    #[serde(flatten)]
    pub kind: Kind,
    /// How many.
    pub letters: u64,
    /// When the first of them was accepted.
    pub first_seen: String,
    /// When the last was.
    pub last_seen: String,
    /// One of them.
    pub example: u64,
    /// The most that one of them was tried.
    pub attempts: i64,
}

/// One dead letter.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub struct LetterView {
    /// The offset of the event that died first.
    pub id: u64,
    /// What is wrong.
    #[serde(flatten)]
    pub kind: Kind,
    /// `dead`, `replayed` or `discarded`.
    pub status: String,
    /// Its own id, where the topic has a key for duplicates.
    pub event_id: Option<String>,
    /// How often it was tried again.
    pub attempts: i64,
    /// When it was accepted.
    pub first_seen: String,
    /// When it was last tried.
    pub last_seen: String,
    /// Its ordering key.
    pub ordering_key: String,
    /// Its attributes, a JSON object.
    pub attributes: String,
    /// Bytes of the event.
    pub bytes: u64,
    /// The event as text; none where it is no UTF-8, or long.
    pub text: Option<String>,
    /// The event in base64, cut where it is long.
    pub base64: String,
}

/// Which element of an array, and which byte of a text, is not what is wrong with it.
const PATH: &str = r"REGEXP_REPLACE(path, r'\[[0-9]+\]', '[*]')";
const GOT: &str = r"REGEXP_REPLACE(got, r' at byte [0-9]+', '')";
/// Groups that are told.
const GROUPS_MAX: usize = 500;

/// A text literal of GoogleSQL.
fn literal(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for letter in text.chars() {
        match letter {
            '\'' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\0' => quoted.push_str("\\x00"),
            letter => quoted.push(letter),
        }
    }
    quoted.push('\'');
    quoted
}

impl Kind {
    /// The condition that its letters fulfil.
    pub fn condition(&self) -> String {
        format!(
            "sink = {} AND reason = {} AND {PATH} = {} AND expected = {} AND {GOT} = {} AND schema_revision = {}",
            literal(&self.sink),
            literal(&self.reason),
            literal(&self.path),
            literal(&self.expected),
            literal(&self.got),
            self.schema_revision
        )
    }

    fn of(rows: &Rows<'_>, row: usize) -> Result<Self, Problem> {
        Ok(Self {
            sink: rows.text("sink", row)?,
            reason: rows.text("reason", row)?,
            path: rows.text("path", row)?,
            expected: rows.text("expected", row)?,
            got: rows.text("got", row)?,
            schema_revision: rows.number("schema_revision", row)?,
        })
    }
}

/// The condition for letters of these numbers.
pub fn numbered(ids: &[u64]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    format!("id IN ({})", ids.join(", "))
}

fn from(topic: &str) -> String {
    format!("`topics`.`{topic}__dead`")
}

/// The letters of a topic that wait, by what is wrong with them; the most first.
///
/// # Errors
/// The table cannot be read.
pub async fn groups(warehouse: &Warehouse, caller: &Caller, topic: &str) -> Result<Vec<Group>, Problem> {
    let by = "sink, reason, path, expected, got, schema_revision";
    let sql = format!(
        "SELECT {by}, COUNT(*) AS letters, MIN(first_seen) AS first_seen, MAX(last_seen) AS last_seen, \
         MIN(id) AS example, MAX(attempts) AS attempts FROM (SELECT * REPLACE ({PATH} AS path, {GOT} AS got) FROM {} \
         WHERE status = 'dead') GROUP BY {by} ORDER BY letters DESC, example LIMIT {GROUPS_MAX}",
        from(topic)
    );
    let mut groups = Vec::new();
    for batch in run(warehouse, caller, &sql).await? {
        let rows = Rows(&batch);
        for row in 0..batch.num_rows() {
            groups.push(Group {
                kind: Kind::of(&rows, row)?,
                letters: u64_from_signed(rows.number("letters", row)?),
                first_seen: rows.time("first_seen", row)?,
                last_seen: rows.time("last_seen", row)?,
                example: u64_from_signed(rows.number("example", row)?),
                attempts: rows.number("attempts", row)?,
            });
        }
    }
    Ok(groups)
}

/// Letters that fulfil a condition, the first ones first, from behind a number on.
///
/// # Errors
/// The table cannot be read.
pub async fn letters(
    warehouse: &Warehouse,
    caller: &Caller,
    topic: &str,
    condition: &str,
    behind: Option<u64>,
    most: usize,
) -> Result<Vec<LetterView>, Problem> {
    let behind = behind.map(|id| format!(" AND id > {id}")).unwrap_or_default();
    let sql = format!(
        "SELECT id, sink, reason, path, expected, got, schema_revision, status, event_id, attempts, first_seen, \
         last_seen, ordering_key, TO_JSON_STRING(attributes) AS attributes, data FROM {} \
         WHERE ({condition}){behind} ORDER BY id, sink LIMIT {most}",
        from(topic)
    );
    let mut letters = Vec::new();
    for batch in run(warehouse, caller, &sql).await? {
        let rows = Rows(&batch);
        for row in 0..batch.num_rows() {
            let data = rows.bytes("data", row)?;
            let (text, base64) = raw(&data);
            letters.push(LetterView {
                id: u64_from_signed(rows.number("id", row)?),
                kind: Kind::of(&rows, row)?,
                status: rows.text("status", row)?,
                event_id: Some(rows.text("event_id", row)?).filter(|id| !id.is_empty()),
                attempts: rows.number("attempts", row)?,
                first_seen: rows.time("first_seen", row)?,
                last_seen: rows.time("last_seen", row)?,
                ordering_key: rows.text("ordering_key", row)?,
                attributes: rows.text("attributes", row)?,
                bytes: naru_base::number::u64_from(data.len()),
                text,
                base64,
            });
        }
    }
    Ok(letters)
}

/// Runs a query as the caller; a topic that never met an event has no table, and no letters.
async fn run(warehouse: &Warehouse, caller: &Caller, sql: &str) -> Result<Vec<RecordBatch>, Problem> {
    let options = SessionOptions { origin: Some(caller.origin()), ..SessionOptions::of(caller.principal.clone()) };
    let session = warehouse.session(options).map_err(|error| error.problem())?;
    let mut result = match session.run(sql).await.map_err(|error| error.problem()) {
        Ok(result) => result,
        Err(problem) if problem.code == "sql.no_table" => return Ok(Vec::new()),
        Err(problem) => return Err(problem),
    };
    let mut batches = Vec::new();
    while let Some(batch) = result.next().await {
        batches.push(batch.map_err(|error| error.problem())?);
    }
    Ok(batches)
}

/// The cells of a result; a NULL is empty, 0, or the beginning of time.
struct Rows<'a>(&'a RecordBatch);

impl Rows<'_> {
    fn column(&self, name: &str, wanted: &DataType) -> Result<arrow::array::ArrayRef, Problem> {
        let strange = || Problem::new("dead.columns", format!("column {name} of the dead letters is not as expected"));
        let column = self.0.column_by_name(name).ok_or_else(strange)?;
        cast(column, wanted).map_err(|error| strange().detail(error.to_string()))
    }

    fn text(&self, name: &str, row: usize) -> Result<String, Problem> {
        let column = self.column(name, &DataType::Utf8)?;
        let column = column.as_string::<i32>();
        Ok(if column.is_valid(row) { column.value(row).to_owned() } else { String::new() })
    }

    fn number(&self, name: &str, row: usize) -> Result<i64, Problem> {
        let column = self.column(name, &DataType::Int64)?;
        let column = column.as_primitive::<Int64Type>();
        Ok(if column.is_valid(row) { column.value(row) } else { 0 })
    }

    fn bytes(&self, name: &str, row: usize) -> Result<Vec<u8>, Problem> {
        let column = self.column(name, &DataType::Binary)?;
        let column = column.as_binary::<i32>();
        Ok(if column.is_valid(row) { column.value(row).to_vec() } else { Vec::new() })
    }

    fn time(&self, name: &str, row: usize) -> Result<String, Problem> {
        let column = self.column(name, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
        let column = column.as_primitive::<TimestampMicrosecondType>();
        Ok(time_text(if column.is_valid(row) { column.value(row) } else { 0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_gives_stays_within_its_quotes() {
        let kind = Kind {
            sink: "table".into(),
            reason: "x' OR TRUE --".into(),
            path: "$.a\\".into(),
            expected: "INT64".into(),
            got: "line\nbreak".into(),
            schema_revision: 2,
        };
        let condition = kind.condition();
        assert!(condition.contains(r"reason = 'x\' OR TRUE --'"), "{condition}");
        assert!(condition.contains(r"= '$.a\\'") && condition.contains(r"'line\nbreak'"), "{condition}");
    }
}
