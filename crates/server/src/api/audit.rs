//! The audit for whoever may see it: rows by filter, the state of its chain, all of it as a file.
//!
//! Owns: the routes. Whoever may view the table `naru.audit` may read them: administrators, and those to whom
//! `access.toml` grants the dataset `naru`. Reading it out is in the audit itself.

use std::io::Write;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Query, State},
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use naru_access::{
    audit::{AuditFilter, AuditRow, Deed, Entry, chain},
    rights::OWN_DATASET,
};
use naru_base::{Problem, TableId, number::u64_from};
use naru_warehouse::{
    ResultSet, SessionOptions,
    output::{self, SheetFormat},
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Api, ApiProblem, views::time_text};
use crate::signin::caller::Caller;

/// Rows of a page unless asked otherwise, and at most.
const ROWS_DEFAULT: usize = 100;
const ROWS_MAX: usize = 500;
/// Pieces of a file that wait for a slow reader.
const PIECES_AHEAD: usize = 4;

/// Which rows are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub struct AskedAudit {
    /// Exactly this account.
    account: Option<String>,
    /// Exactly this action: `query`, `download`, `sign_in`, `token`, `access`, `share`, `run`, `operate`, `audit`.
    action: Option<String>,
    /// Exactly this door: `console`, `api`, `postgres`, `cli`, `share`.
    door: Option<String>,
    /// Rows that touched this table.
    table: Option<String>,
    /// Only those that failed, or only those that did not.
    failed: Option<bool>,
    /// A piece of the SQL, of what was done, or of the reason.
    text: Option<String>,
    /// From this moment on, RFC 3339.
    from: Option<String>,
    /// Before this moment, RFC 3339.
    to: Option<String>,
    /// Rows before this one; `next` of the page before.
    before: Option<i64>,
    /// At most so many, up to 500; 100 unless given.
    most: Option<usize>,
}

/// A row whose hash was kept elsewhere.
#[derive(Debug, Deserialize, IntoParams)]
pub struct AskedChain {
    /// Its number.
    row: Option<i64>,
    /// Its hash, 64 hexadecimal digits.
    hash: Option<String>,
}

/// Why the rows are taken out.
#[derive(Debug, Deserialize, IntoParams)]
pub struct AskedExport {
    /// The reason, where `naru.toml` asks for one.
    reason: Option<String>,
}

/// Rows of the audit, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditList {
    /// The rows.
    items: Vec<AuditItem>,
    /// `before` of the next page; none at the end.
    next: Option<i64>,
    /// When this was so.
    as_of: String,
    /// Whether `naru.toml` asks for a reason for each download.
    asks_why: bool,
}

/// One row.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditItem {
    /// Its number, counted from 1 without gaps.
    id: i64,
    /// When it began.
    at: String,
    /// Who.
    account: String,
    /// `owner`, `project`, `person`, `service` or `token`.
    account_kind: String,
    /// Through which door.
    door: String,
    /// From where; none on this machine's own socket.
    address: Option<String>,
    /// With which program.
    client: String,
    /// What was done.
    action: String,
    /// The statement.
    sql: Option<String>,
    /// Tables.
    tables: Vec<String>,
    /// Rows handed out.
    rows: Option<i64>,
    /// Bytes handed out.
    bytes: Option<i64>,
    /// Bytes read from files.
    bytes_read: Option<i64>,
    /// Milliseconds.
    took_ms: Option<i64>,
    /// `ok`, `left`, or the code of the problem.
    result: String,
    /// What exactly, where there is no SQL.
    detail: Option<String>,
    /// Why, in their words.
    reason: Option<String>,
}

/// The state of the chain.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChainView {
    /// When it was walked.
    as_of: String,
    /// Rows that are as they were written.
    rows: u64,
    /// The last of them.
    head: Option<HeadView>,
    /// The first that is not; none when all are.
    broken: Option<BrokenView>,
}

/// A row and its hash.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeadView {
    /// The row's number.
    row: i64,
    /// Its hash.
    hash: String,
}

/// A broken row.
#[derive(Debug, Serialize, ToSchema)]
pub struct BrokenView {
    /// The row's number.
    row: i64,
    /// `missing`, `changed` or `replaced`.
    why: String,
}

/// The routes of this noun.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(audit_rows)).routes(routes!(audit_chain)).routes(routes!(audit_export))
}

/// Lets pass who may see the audit.
fn may_see(api: &Api, caller: &Caller) -> Result<(), ApiProblem> {
    if api.policy.now().visible(&caller.principal).table(&TableId::new(OWN_DATASET, "audit")) {
        return Ok(());
    }
    api.must_admin(caller)
}

fn moment(text: Option<&String>) -> Result<Option<i64>, Problem> {
    let parse = |text: &String| {
        text.parse::<jiff::Timestamp>()
            .map(jiff::Timestamp::as_microsecond)
            .map_err(|_| Problem::new("audit.moment", "this is not a moment").hint("Write it as 2026-11-23T09:00:00Z."))
    };
    text.map(parse).transpose()
}

fn filter(asked: &AskedAudit) -> Result<AuditFilter, Problem> {
    let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Ok(AuditFilter {
        account: some(&asked.account),
        action: some(&asked.action),
        door: some(&asked.door),
        table: some(&asked.table),
        failed: asked.failed,
        text: some(&asked.text),
        from_us: moment(asked.from.as_ref())?,
        to_us: moment(asked.to.as_ref())?,
    })
}

fn item(row: AuditRow) -> AuditItem {
    AuditItem {
        id: row.id,
        at: time_text(row.at_us),
        account: row.account,
        account_kind: row.account_kind,
        door: row.door,
        address: row.address,
        client: row.client,
        action: row.action,
        sql: row.sql,
        tables: chain::names(&row.tables),
        rows: row.rows,
        bytes: row.bytes,
        bytes_read: row.bytes_read,
        took_ms: row.took_us.map(|took| took / 1_000),
        result: row.result,
        detail: row.detail,
        reason: row.reason,
    }
}

/// Rows of the audit, the newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AskedAudit),
    responses((status = 200, body = AuditList)))]
pub async fn audit_rows(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<AskedAudit>,
) -> Result<Json<AuditList>, ApiProblem> {
    may_see(&api, &caller)?;
    let most = asked.most.unwrap_or(ROWS_DEFAULT).clamp(1, ROWS_MAX);
    let found = api.audit.find(filter(&asked)?, asked.before, most).await.map_err(|error| error.problem())?;
    let next = if found.len() == most { found.last().map(|row| row.id) } else { None };
    let items = found.into_iter().map(item).collect();
    let as_of = time_text(naru_base::time::now_us());
    Ok(Json(AuditList { items, next, as_of, asks_why: api.audit.asks_why() }))
}

/// Walks the chain of hashes from its first row to its last.
#[utoipa::path(get, path = "/api/v1/audit/chain", tag = "audit", params(AskedChain),
    responses((status = 200, body = ChainView)))]
pub async fn audit_chain(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<AskedChain>,
) -> Result<Json<ChainView>, ApiProblem> {
    may_see(&api, &caller)?;
    let known = asked.row.zip(asked.hash).map(|(id, hash)| chain::Head { id, hash: hash.to_lowercase() });
    let verdict = api.audit.verify(known).await.map_err(|error| error.problem())?;
    Ok(Json(ChainView {
        as_of: time_text(naru_base::time::now_us()),
        rows: verdict.rows,
        head: verdict.head.map(|head| HeadView { row: head.id, hash: head.hash }),
        broken: verdict.broken.map(|broken| BrokenView { row: broken.id, why: broken.why.word().to_owned() }),
    }))
}

/// The rows that pass the filter as CSV for a spreadsheet.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "audit", params(AskedAudit, AskedExport),
    responses((status = 200, content_type = "text/csv", body = String)))]
pub async fn audit_export(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<AskedAudit>,
    Query(why): Query<AskedExport>,
) -> Result<Response, ApiProblem> {
    may_see(&api, &caller)?;
    let reason = api.audit.reason(why.reason.as_deref())?;
    let sql = export_sql(&filter(&asked)?);
    let place = api.audit.place(&caller.principal).await?;
    let mut entry = Entry::new(&caller.principal, caller.origin(), Deed::Audit).detail(sql.clone());
    entry.reason = reason;
    // The rows go out as those of a statement of the caller, which is asked for its rights like any other.
    let session = api.warehouse.session(SessionOptions::of(caller.principal.clone()));
    let answer = async { session?.run(&sql).await }.await.map_err(|error| error.problem());
    let result = match answer {
        Ok(result) => result,
        Err(problem) => {
            place.fill(entry.outcome::<()>(&Err(problem.clone())));
            return Err(problem.into());
        }
    };
    let (pieces, read) = mpsc::channel(PIECES_AHEAD);
    tokio::spawn(async move {
        let written = write(result, pieces).await;
        entry.rows = Some(*written.as_ref().unwrap_or(&0));
        place.fill(entry.outcome(&written));
    });
    let body = Body::from_stream(futures::stream::unfold(read, async |mut read| Some((read.recv().await?, read))));
    let headers =
        [(CONTENT_TYPE, "text/csv; charset=utf-8"), (CONTENT_DISPOSITION, "attachment; filename=\"naru-audit.csv\"")];
    Ok((headers, body).into_response())
}

/// Hands out a result as CSV, and says how many rows it had.
async fn write(mut result: ResultSet, pieces: mpsc::Sender<Result<Bytes, std::io::Error>>) -> Result<u64, Problem> {
    let (batches, mut waiting) = mpsc::channel(PIECES_AHEAD);
    let (schema, out) = (result.schema.clone(), pieces.clone());
    let writing = tokio::task::spawn_blocking(move || {
        let mut writer = output::sheet_writer(SheetFormat::Csv { bom: true }, &schema, Pieces(out), None)
            .map_err(|error| error.problem())?;
        let mut rows = 0;
        while let Some(batch) = waiting.blocking_recv() {
            writer.write(&batch).map_err(|error| error.problem())?;
            rows += u64_from(batch.num_rows());
        }
        writer.finish().map_err(|error| error.problem())?;
        Ok(rows)
    });
    let mut outcome = Ok(());
    while let Some(batch) = result.next().await {
        match batch {
            Ok(batch) => {
                if batches.send(batch).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                outcome = Err(error.problem());
                // A file that ends early must not look whole.
                drop(pieces.send(Err(std::io::Error::other("the rows could not be read"))).await);
                break;
            }
        }
    }
    drop(batches);
    let written = writing.await.map_err(|_| Problem::new("audit.export", "the file was not written"))?;
    outcome.and(written)
}

/// A file that goes out in pieces as they are written.
struct Pieces(mpsc::Sender<Result<Bytes, std::io::Error>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn export_sql(filter: &AuditFilter) -> String {
    let mut conditions = Vec::new();
    let mut same = |column: &str, value: Option<&String>| {
        conditions.extend(value.map(|value| format!("{column} = {}", literal(value))));
    };
    same("account", filter.account.as_ref());
    same("action", filter.action.as_ref());
    same("door", filter.door.as_ref());
    conditions.extend(filter.table.as_ref().map(|table| format!("{} IN UNNEST(tables)", literal(table))));
    conditions.extend(filter.failed.map(|failed| format!("result {} 'ok'", if failed { "!=" } else { "=" })));
    conditions.extend(filter.text.as_ref().map(|text| {
        let all = "LOWER(CONCAT(IFNULL(sql, ''), ' ', IFNULL(detail, ''), ' ', IFNULL(reason, '')))";
        format!("STRPOS({all}, LOWER({})) > 0", literal(text))
    }));
    conditions.extend(filter.from_us.map(|from| format!("time >= TIMESTAMP_MICROS({from})")));
    conditions.extend(filter.to_us.map(|to| format!("time < TIMESTAMP_MICROS({to})")));
    let conditions = if conditions.is_empty() { "TRUE".to_owned() } else { conditions.join(" AND ") };
    format!(
        "SELECT id, time, account, account_kind, door, address, client, action, sql, ARRAY_TO_STRING(tables, ', ') AS tables, \
         `rows`, bytes, bytes_read, took_ms, result, detail, reason, hash FROM naru.audit WHERE {conditions} ORDER BY id"
    )
}

/// A text as SQL.
fn literal(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            '\\' | '\'' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            _ => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_a_text_in_sql() {
        assert_eq!(literal("kim' OR TRUE --\\"), "'kim\\' OR TRUE --\\\\'");
        let filter = AuditFilter { account: Some("a'b".into()), failed: Some(true), ..AuditFilter::default() };
        assert!(
            export_sql(&filter).contains("WHERE account = 'a\\'b' AND result != 'ok' ORDER"),
            "{}",
            export_sql(&filter)
        );
    }
}
