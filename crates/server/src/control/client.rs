//! The asking half of the control socket, used by every command.
//!
//! Owns: finding the running naru of a folder, the version handshake, reading answers as they come.
//! Never starts anything: with nothing running, [`Client::find`] answers `None` and the command opens the folder
//! itself.

use std::{collections::BTreeMap, io, path::Path};

use arrow::{
    buffer::Buffer,
    datatypes::SchemaRef,
    ipc::reader::{StreamDecoder, StreamReader},
    record_batch::RecordBatch,
};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, client::conn::http1, header::HeaderValue};
use hyper_util::rt::TokioIo;
use naru_base::{Place, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::UnixStream;

use super::{
    VERSION_HEADER,
    frame::{Kind, take},
    place::socket_path,
    server::Head,
};
use crate::ServerError;

/// A statement for the running naru.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SqlRequest {
    /// One or more statements.
    pub sql: String,
    /// Dataset of names without one.
    pub default_dataset: Option<String>,
    /// Zone of dates; the project's when absent.
    pub time_zone: Option<String>,
}

/// A way to the running naru of one project.
#[derive(Debug)]
pub struct Client {
    path: std::path::PathBuf,
    version: String,
}

impl Client {
    /// Looks for the running naru of a project; `None` when nothing answers on its socket.
    ///
    /// # Errors
    /// [`ServerError::Version`] when it has another version than `version`.
    pub async fn find(project: &Path, version: &str) -> Result<Option<Self>, ServerError> {
        let path = socket_path(project)?;
        match UnixStream::connect(&path).await {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(source) => return Err(ServerError::Socket { path, source }),
        }
        let client = Self { path, version: version.to_owned() };
        client.status().await.map(|_| Some(client))
    }

    /// The whole state of the running naru.
    pub async fn status(&self) -> Result<Value, ServerError> {
        let body = self.ask("GET", "/status", Bytes::new()).await?.into_body();
        let bytes = body.collect().await.map_err(lost)?.to_bytes();
        serde_json::from_slice(&bytes).map_err(lost)
    }

    /// Does what `word` says; `line` sees progress as it comes.
    ///
    /// # Errors
    /// [`ServerError::Remote`] with the problem that ended it.
    pub async fn call(
        &self,
        word: &str,
        body: &Value,
        mut line: impl FnMut(Value) + Send,
    ) -> Result<Value, ServerError> {
        let mut body = self.ask("POST", &format!("/call/{word}"), body.to_string().into()).await?.into_body();
        let mut buffer = BytesMut::new();
        while let Some(piece) = body.frame().await {
            if let Some(data) = piece.map_err(lost)?.data_ref() {
                buffer.extend_from_slice(data);
            }
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let mut said: Value = serde_json::from_slice(&buffer.split_to(end + 1)).map_err(lost)?;
                if let Some(done) = said.get_mut("done") {
                    return Ok(done.take());
                }
                if let Some(problem) = said.get("problem") {
                    return Err(ServerError::Remote(read_problem(problem)));
                }
                line(said.get_mut("progress").map_or(Value::Null, Value::take));
            }
        }
        Err(ServerError::Lost("The answer ended in the middle.".to_owned()))
    }

    /// Runs SQL; rows come as the query makes them. Dropping the answer stops the query.
    pub async fn sql(&self, request: &SqlRequest) -> Result<SqlAnswer, ServerError> {
        let body = serde_json::to_vec(request).map_err(lost)?;
        let body = self.ask("POST", "/sql", body.into()).await?.into_body();
        let mut answer = SqlAnswer {
            schema: std::sync::Arc::new(arrow::datatypes::Schema::empty()),
            body,
            buffer: BytesMut::new(),
            decoder: StreamDecoder::new(),
            pending: Buffer::from(Vec::<u8>::new()),
            ended: false,
            time_zone: String::new(),
            versions: BTreeMap::new(),
            rows_read: 0,
            rows_total: None,
            bytes_spilled: 0,
        };
        match answer.frame().await? {
            Some((Kind::Head, payload)) => {
                let head: Head = serde_json::from_slice(&payload).map_err(lost)?;
                answer.time_zone = head.time_zone;
                answer.versions = head.versions;
            }
            Some((Kind::Problem, payload)) => return Err(remote(&payload)),
            _ => return Err(lost("the answer has no head")),
        }
        let Some((Kind::Rows, columns)) = answer.frame().await? else { return Err(lost("the answer has no columns")) };
        // The push decoder looks at the columns only once rows follow, so they are read here as a stream of their own.
        let head = StreamReader::try_new(std::io::Cursor::new(&columns), None).map_err(lost)?;
        answer.schema = head.schema();
        answer.decoder.decode(&mut Buffer::from(columns)).map_err(lost)?;
        Ok(answer)
    }

    async fn ask(&self, method: &str, path: &str, body: Bytes) -> Result<Response<Incoming>, ServerError> {
        let stream = UnixStream::connect(&self.path)
            .await
            .map_err(|source| ServerError::Socket { path: self.path.clone(), source })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        tokio::spawn(async move {
            // Its error reaches the reader of the answer as well.
            let _ = connection.await;
        });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "naru")
            .header("content-type", "application/json")
            .header(VERSION_HEADER, &self.version)
            .body(Full::new(body))
            .map_err(lost)?;
        let response = sender.send_request(request).await.map_err(lost)?;
        let running = response.headers().get(VERSION_HEADER).and_then(|value: &HeaderValue| value.to_str().ok());
        if running != Some(self.version.as_str()) {
            let running = running.unwrap_or("of an unknown version").to_owned();
            return Err(ServerError::Version { running, this: self.version.clone() });
        }
        if !response.status().is_success() {
            return Err(ServerError::Lost(format!("It answered {}.", response.status())));
        }
        Ok(response)
    }
}

fn lost(error: impl std::fmt::Display) -> ServerError {
    ServerError::Lost(error.to_string())
}

fn remote(payload: &[u8]) -> ServerError {
    match serde_json::from_slice::<Value>(payload) {
        Ok(value) => ServerError::Remote(read_problem(&value)),
        Err(error) => lost(error),
    }
}

/// A problem from its JSON form.
fn read_problem(value: &Value) -> Problem {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
    let number = |place: &Value, key: &str| {
        place.get(key).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok()).unwrap_or(0)
    };
    let mut problem = Problem::new(
        text("code").unwrap_or_else(|| "server.unknown".to_owned()),
        text("summary").unwrap_or_else(|| "the running naru failed".to_owned()),
    );
    problem.detail = text("detail");
    problem.hint = text("hint");
    problem.place = value.get("place").and_then(|place| {
        let file = place.get("file")?.as_str()?.into();
        Some(Place { file, line: number(place, "line"), column: number(place, "column") })
    });
    if text("retry").as_deref() == Some("later") { problem.later() } else { problem }
}

/// Rows from the running naru.
#[derive(Debug)]
pub struct SqlAnswer {
    /// Columns, in order.
    pub schema: SchemaRef,
    /// The zone in which TIMESTAMP met DATE.
    pub time_zone: String,
    /// `dataset.table` of what was read, to its Delta version.
    pub versions: BTreeMap<String, Option<u64>>,
    /// Rows that scans have handed on so far.
    pub rows_read: u64,
    /// Rows that scans hold according to their statistics.
    pub rows_total: Option<u64>,
    /// Bytes written to the spill folder so far.
    pub bytes_spilled: u64,
    body: Incoming,
    buffer: BytesMut,
    decoder: StreamDecoder,
    /// Bytes of a rows frame that the decoder has not taken yet.
    pending: Buffer,
    ended: bool,
}

impl SqlAnswer {
    /// The next rows; `None` at the end. Progress is updated on the way, also when this future is dropped and asked
    /// for again.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, ServerError>> {
        loop {
            while !self.pending.is_empty() {
                match self.decoder.decode(&mut self.pending) {
                    Ok(Some(batch)) => return Some(Ok(batch)),
                    Ok(None) => {}
                    Err(error) => return Some(Err(lost(error))),
                }
            }
            match self.frame().await {
                Ok(Some((Kind::Rows, payload))) => self.pending = Buffer::from(payload),
                Ok(Some((Kind::Progress, payload))) => self.note(&payload),
                Ok(Some((Kind::Problem, payload))) => return Some(Err(remote(&payload))),
                Ok(Some((Kind::Done, _)) | None) => return None,
                Ok(Some((Kind::Head, _))) => return Some(Err(lost("a second head"))),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn note(&mut self, payload: &[u8]) {
        if let Ok(said) = serde_json::from_slice::<Value>(payload) {
            self.rows_read = said.get("rows_read").and_then(Value::as_u64).unwrap_or(self.rows_read);
            self.rows_total = said.get("rows_total").and_then(Value::as_u64).or(self.rows_total);
            self.bytes_spilled = said.get("bytes_spilled").and_then(Value::as_u64).unwrap_or(self.bytes_spilled);
        }
    }

    /// The next frame; `None` after the last one.
    async fn frame(&mut self) -> Result<Option<(Kind, Bytes)>, ServerError> {
        if self.ended {
            return Ok(None);
        }
        loop {
            if let Some((kind, payload)) = take(&mut self.buffer).map_err(lost)? {
                self.ended = matches!(kind, Kind::Done | Kind::Problem);
                return Ok(Some((kind, payload)));
            }
            match self.body.frame().await {
                Some(piece) => {
                    if let Some(data) = piece.map_err(lost)?.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                None => return Err(lost("the answer ended in the middle")),
            }
        }
    }
}
