//! A stand-in for the Sheets API of Google, with the token server before it.
//!
//! Owns: the part of the published API that a block of cells needs: `spreadsheets.get`, `values.batchGet`,
//! `batchUpdate` with `updateCells` and `updateSheetProperties`, applied whole or not at all, within the grid, with field
//! masks; tokens by RFC 7523; refusals on request. Sources: "Google Sheets API v4, REST reference", "Using OAuth 2.0 for
//! server to server applications". Never evaluates a formula: what would be one is kept as such, for the test to see.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Form, Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path as At, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

/// The key of the account that the stand-in knows. It opens nothing else.
const KEY: &str = include_str!("sheets_key.pem");
const PUBLIC_KEY: &str = include_str!("sheets_key.pub.pem");
/// The account.
pub const EMAIL: &str = "naru@acme.iam.gserviceaccount.example";
/// The one spreadsheet.
pub const SPREADSHEET: &str = "1AbC-d_9";
const TOKEN: &str = "ya29.stand-in";
const SCOPE: &str = "https://www.googleapis.com/auth/spreadsheets";
/// Bytes of a request beyond which Google refuses it.
const REQUEST_BYTES_MAX: usize = 10 << 20;

/// A cell: `userEnteredValue` and `userEnteredFormat.numberFormat`.
pub type Cells = BTreeMap<(u64, u64), Value>;

/// One tab.
#[derive(Debug, Clone)]
pub struct Tab {
    /// Its id.
    pub id: i64,
    /// What stands on it.
    pub title: String,
    /// Its grid.
    pub rows: u64,
    /// Its grid.
    pub columns: u64,
    /// What is in it.
    pub cells: Cells,
}

#[derive(Default)]
struct Book {
    tabs: Vec<Tab>,
    refusals: VecDeque<(u16, Option<u64>)>,
    /// Whether the account may write.
    shared: bool,
    /// Every answered request: `token`, `get`, `batchGet`, `batchUpdate`.
    log: Vec<String>,
    token_uri: String,
}

/// The stand-in, listening on loopback until it is dropped.
pub struct SheetsServer {
    /// Where the API is.
    pub endpoint: String,
    book: Arc<Mutex<Book>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for SheetsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Shared = Arc<Mutex<Book>>;

fn lock(book: &Shared) -> MutexGuard<'_, Book> {
    book.lock().expect("no holder of the book panics")
}

impl SheetsServer {
    /// A spreadsheet with one tab of this title and size.
    pub async fn start(title: &str, rows: u64, columns: u64) -> Self {
        let tab = Tab { id: 7, title: title.to_owned(), rows, columns, cells: Cells::new() };
        let book = Arc::new(Mutex::new(Book { tabs: vec![tab], shared: true, ..Book::default() }));
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        lock(&book).token_uri = format!("{endpoint}/token");
        let router = Router::new()
            .route("/token", post(token))
            .route("/v4/spreadsheets/{id}", get(spreadsheet).post(batch_update))
            .route("/v4/spreadsheets/{id}/values:batchGet", get(batch_get))
            .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
            .with_state(book.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("the stand-in serves") });
        Self { endpoint, book, task }
    }

    /// Writes the account's key file, as Google gives it.
    pub fn write_key(&self, path: &Path) {
        let file = json!({
            "type": "service_account", "project_id": "acme", "private_key_id": "1", "private_key": KEY,
            "client_email": EMAIL, "client_id": "1", "token_uri": format!("{}/token", self.endpoint),
        });
        std::fs::write(path, file.to_string()).expect("write the key");
    }

    /// The tab as it stands.
    pub fn tab(&self) -> Tab {
        lock(&self.book).tabs[0].clone()
    }

    /// Puts a text into a cell, as a person does.
    pub fn put(&self, row: u64, column: u64, text: &str) {
        lock(&self.book).tabs[0].cells.insert((row, column), json!({"userEnteredValue": {"stringValue": text}}));
    }

    /// Answers one further request of the API with this status, and how many seconds to wait.
    pub fn refuse(&self, status: u16, retry_after: Option<u64>) {
        lock(&self.book).refusals.push_back((status, retry_after));
    }

    /// Takes the account's right to write away.
    pub fn unshare(&self) {
        lock(&self.book).shared = false;
    }

    /// Every request so far.
    pub fn log(&self) -> Vec<String> {
        lock(&self.book).log.clone()
    }
}

fn error(status: u16, message: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, Json(json!({"error": {"code": status.as_u16(), "message": message}}))).into_response()
}

async fn token(State(book): State<Shared>, Form(form): Form<BTreeMap<String, String>>) -> Response {
    let mut book = lock(&book);
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[&book.token_uri]);
    validation.set_issuer(&[EMAIL]);
    let key = DecodingKey::from_rsa_pem(PUBLIC_KEY.as_bytes()).expect("the public key");
    let assertion = form.get("assertion").cloned().unwrap_or_default();
    let grant = form.get("grant_type").map(String::as_str);
    let claims = jsonwebtoken::decode::<Value>(&assertion, &key, &validation).map(|data| data.claims);
    book.log.push("token".to_owned());
    match claims {
        Ok(claims)
            if grant == Some("urn:ietf:params:oauth:grant-type:jwt-bearer")
                && claims["scope"] == SCOPE
                && claims["exp"]
                    .as_i64()
                    .zip(claims["iat"].as_i64())
                    .is_some_and(|(end, from)| end - from <= 3_600) =>
        {
            Json(json!({"access_token": TOKEN, "expires_in": 3_599, "token_type": "Bearer"})).into_response()
        }
        _ => error(400, "invalid_grant"),
    }
}

/// Refuses what is asked for, or lets it pass and writes it down.
fn enter<'a>(book: &'a Shared, headers: &HeaderMap, id: &str, what: &str) -> Result<MutexGuard<'a, Book>, Response> {
    let mut entered = lock(book);
    if headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) != Some(&format!("Bearer {TOKEN}")) {
        return Err(error(401, "Request had invalid authentication credentials."));
    }
    if let Some((status, after)) = entered.refusals.pop_front() {
        let mut response = error(status, "refused by the test");
        if let Some(after) = after {
            response.headers_mut().insert(header::RETRY_AFTER, after.into());
        }
        return Err(response);
    }
    if id != SPREADSHEET {
        return Err(error(404, "Requested entity was not found."));
    }
    if !entered.shared {
        return Err(error(403, "The caller does not have permission"));
    }
    entered.log.push(what.to_owned());
    Ok(entered)
}

async fn spreadsheet(State(book): State<Shared>, At(id): At<String>, headers: HeaderMap) -> Response {
    let entered = match enter(&book, &headers, &id, "get") {
        Ok(entered) => entered,
        Err(refusal) => return refusal,
    };
    let sheets: Vec<Value> = entered
        .tabs
        .iter()
        .map(|tab| {
            let grid = json!({"rowCount": tab.rows, "columnCount": tab.columns});
            json!({"properties": {"sheetId": tab.id, "title": tab.title, "gridProperties": grid}})
        })
        .collect();
    Json(json!({"sheets": sheets})).into_response()
}

async fn batch_get(
    State(book): State<Shared>,
    At(id): At<String>,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let entered = match enter(&book, &headers, &id, "batchGet") {
        Ok(entered) => entered,
        Err(refusal) => return refusal,
    };
    let ranges = query.iter().filter(|(name, _)| name == "ranges").map(|(_, range)| range);
    let found: Option<Vec<Value>> = ranges.map(|range| values(&entered, range)).collect();
    match found {
        Some(found) => Json(json!({"spreadsheetId": id, "valueRanges": found})).into_response(),
        None => error(400, "Unable to parse range"),
    }
}

/// The values of a range such as `'매출'!B2:D9`, without the empty lines at its end.
fn values(book: &Book, range: &str) -> Option<Value> {
    let (title, area) = range.rsplit_once('!')?;
    let title = title.strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'");
    let tab = book.tabs.iter().find(|tab| tab.title == title)?;
    let (first, last) = area.split_once(':')?;
    let ((top, left), (bottom, right)) = (cell(first)?, cell(last)?);
    if bottom >= tab.rows || right >= tab.columns {
        return None;
    }
    let shown = |at: (u64, u64)| {
        let value = tab.cells.get(&at).map_or(&Value::Null, |cell| &cell["userEnteredValue"]);
        value
            .as_object()
            .and_then(|value| value.values().next())
            .map_or_else(|| json!(""), |value| json!(value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    };
    let mut lines: Vec<Vec<Value>> =
        (top..=bottom).map(|row| (left..=right).map(|column| shown((row, column))).collect()).collect();
    for line in &mut lines {
        while line.last().is_some_and(|cell| cell == "") {
            line.pop();
        }
    }
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    let mut answer = json!({"range": range, "majorDimension": "ROWS"});
    if !lines.is_empty() {
        answer["values"] = json!(lines);
    }
    Some(answer)
}

fn cell(text: &str) -> Option<(u64, u64)> {
    let split = text.find(|c: char| c.is_ascii_digit())?;
    let column = text[..split].bytes().fold(0, |sum, letter| sum * 26 + u64::from(letter - b'A') + 1);
    Some((text[split..].parse::<u64>().ok()? - 1, column - 1))
}

async fn batch_update(State(book): State<Shared>, At(call): At<String>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(id) = call.strip_suffix(":batchUpdate") else { return error(404, "no such method") };
    let mut entered = match enter(&book, &headers, id, "batchUpdate") {
        Ok(entered) => entered,
        Err(refusal) => return refusal,
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    // Applied to a copy: when one request is wrong, nothing happens.
    let mut tabs = entered.tabs.clone();
    for request in body["requests"].as_array().cloned().unwrap_or_default() {
        if let Err(wrong) = apply(&mut tabs, &request) {
            return error(400, &wrong);
        }
    }
    entered.tabs = tabs;
    Json(json!({"spreadsheetId": id, "replies": []})).into_response()
}

fn apply(tabs: &mut [Tab], request: &Value) -> Result<(), String> {
    let kind = request.as_object().and_then(|request| request.keys().next().cloned()).unwrap_or_default();
    let body = &request[&kind];
    match kind.as_str() {
        "updateSheetProperties" => {
            let properties = &body["properties"];
            let tab = find(tabs, &properties["sheetId"])?;
            let grid = &properties["gridProperties"];
            let (rows, columns) = (grid["rowCount"].as_u64(), grid["columnCount"].as_u64());
            if body["fields"] != "gridProperties.rowCount,gridProperties.columnCount" {
                return Err("fields".to_owned());
            }
            (tab.rows, tab.columns) = rows.zip(columns).ok_or("gridProperties")?;
            Ok(())
        }
        "updateCells" => update_cells(tabs, body),
        other => Err(format!("the stand-in has no {other}")),
    }
}

fn find<'a>(tabs: &'a mut [Tab], id: &Value) -> Result<&'a mut Tab, String> {
    tabs.iter_mut().find(|tab| Some(tab.id) == id.as_i64()).ok_or_else(|| "No sheet with id".to_owned())
}

fn update_cells(tabs: &mut [Tab], body: &Value) -> Result<(), String> {
    let fields: Vec<&str> = body["fields"].as_str().ok_or("fields")?.split(',').collect();
    if fields.iter().any(|field| !["userEnteredValue", "userEnteredFormat.numberFormat"].contains(field)) {
        return Err("the stand-in knows no such field".to_owned());
    }
    let number = |value: &Value| value.as_u64().ok_or_else(|| "an index".to_owned());
    let (start, range) = (&body["start"], &body["range"]);
    let tab = find(tabs, if start.is_null() { &range["sheetId"] } else { &start["sheetId"] })?;
    let lines: Vec<Vec<Value>> = if start.is_null() {
        let width = number(&range["endColumnIndex"])? - number(&range["startColumnIndex"])?;
        let height = number(&range["endRowIndex"])? - number(&range["startRowIndex"])?;
        let count = |number: u64| usize::try_from(number).expect("a size");
        vec![vec![json!({}); count(width)]; count(height)]
    } else {
        let rows = body["rows"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| row["values"].as_array().cloned().unwrap_or_default()).collect()
    };
    let at = if start.is_null() {
        (&range["startRowIndex"], &range["startColumnIndex"])
    } else {
        (&start["rowIndex"], &start["columnIndex"])
    };
    for (row, line) in (number(at.0)?..).zip(lines) {
        for (column, cell) in (number(at.1)?..).zip(line) {
            if row >= tab.rows || column >= tab.columns {
                return Err("Range exceeds grid limits.".to_owned());
            }
            if cell["userEnteredValue"].as_object().is_some_and(|value| value.len() != 1) {
                return Err("Invalid value".to_owned());
            }
            if cell.as_object().is_none_or(serde_json::Map::is_empty) {
                tab.cells.remove(&(row, column));
            } else {
                tab.cells.insert((row, column), cell);
            }
        }
    }
    Ok(())
}
