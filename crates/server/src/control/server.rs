//! The answering half of the control socket.
//!
//! Owns: the socket file while naru runs, the routes, the version handshake. SQL goes to the warehouse, all other
//! words to [`Control`].

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow::ipc::writer::StreamWriter;
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path as Word, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::{StreamExt, stream};
use naru_access::{
    Principal,
    audit::{Door, Origin},
};
use naru_base::Problem;
use naru_warehouse::{ResultSet, SessionOptions, Warehouse, WarehouseError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Control, LINES_AHEAD, SqlRequest, VERSION_HEADER,
    frame::{Kind, frame},
    place::socket_path,
};
use crate::ServerError;

/// How often a waiting command hears how far its query is.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// The open control socket. Dropping it removes the socket.
#[derive(Debug)]
pub struct ControlDoor {
    /// The socket's path.
    pub path: PathBuf,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl ControlDoor {
    /// Takes no more commands and waits for those that run, at most `patience`.
    pub async fn close(self, patience: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait()).await.is_err() {
            tracing::warn!("a command was still running when the control socket closed");
        }
    }
}

impl Drop for ControlDoor {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the control socket was gone already");
        }
    }
}

#[derive(Clone)]
struct Parts {
    version: HeaderValue,
    warehouse: Warehouse,
    control: Arc<dyn Control>,
    tasks: TaskTracker,
}

/// The first frame of a SQL answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub time_zone: String,
    /// `dataset.table` to Delta version.
    pub versions: BTreeMap<String, Option<u64>>,
}

/// Opens the control socket of a project.
///
/// A socket that nobody answers on is replaced.
///
/// # Errors
/// [`ServerError::AlreadyRunning`] when somebody does.
pub async fn serve(
    project: &Path,
    version: &str,
    warehouse: Warehouse,
    control: Arc<dyn Control>,
) -> Result<ControlDoor, ServerError> {
    let path = socket_path(project)?;
    let failed = |source| ServerError::Socket { path: path.clone(), source };
    if UnixStream::connect(&path).await.is_ok() {
        return Err(ServerError::AlreadyRunning);
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    // The folder is private already; the mode is a second lock on the same door.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let version =
        HeaderValue::from_str(version).map_err(|_| ServerError::Lost(format!("\"{version}\" is no version")))?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let router = router(Parts { version, warehouse, control, tasks: tasks.clone() });
    let ended = stop.clone();
    tasks.spawn(async move {
        let serving = axum::serve(listener, router).with_graceful_shutdown(ended.cancelled_owned());
        if let Err(error) = serving.into_future().await {
            tracing::warn!(%error, "the control socket closed");
        }
    });
    Ok(ControlDoor { path, stop, tasks })
}

fn router(parts: Parts) -> Router {
    Router::new()
        .route("/sql", post(sql))
        .route("/status", get(status))
        .route("/call/{word}", post(call))
        .layer(middleware::from_fn_with_state(parts.clone(), same_version))
        .with_state(parts)
}

/// Both halves must be of one version: their frames and words are not meant to be mixed.
async fn same_version(State(parts): State<Parts>, request: Request, next: Next) -> Response {
    let same = request.headers().get(VERSION_HEADER) == Some(&parts.version);
    let mut response =
        if same { next.run(request).await } else { (StatusCode::CONFLICT, "another version").into_response() };
    response.headers_mut().insert(VERSION_HEADER, parts.version);
    response
}

async fn status(State(parts): State<Parts>) -> Json<Value> {
    Json(parts.control.status().await)
}

fn json_line(value: &Value) -> Bytes {
    Bytes::from(format!("{value}\n"))
}

/// Answers `{"progress": …}` lines and then one of `{"done": …}`, `{"problem": …}`.
async fn call(State(parts): State<Parts>, Word(word): Word<String>, body: Bytes) -> Response {
    let body = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&body) };
    let Ok(body) = body else { return (StatusCode::BAD_REQUEST, "the body is not JSON").into_response() };
    let (lines, read) = mpsc::channel::<Bytes>(LINES_AHEAD);
    let (progress, mut said) = mpsc::channel::<Value>(LINES_AHEAD);
    let control = parts.control.clone();
    parts.tasks.spawn(async move {
        let telling = async {
            while let Some(value) = said.recv().await {
                if lines.send(json_line(&json!({ "progress": value }))).await.is_err() {
                    // Closing tells the work that nobody reads any more.
                    said.close();
                }
            }
        };
        let (outcome, ()) = tokio::join!(control.call(&word, body, progress), telling);
        let last = match outcome {
            Ok(value) => json!({ "done": value }),
            Err(problem) => json!({ "problem": problem }),
        };
        let _ = lines.send(json_line(&last)).await;
    });
    stream_body(read, "application/x-ndjson")
}

fn stream_body(read: mpsc::Receiver<Bytes>, kind: &'static str) -> Response {
    let pieces = stream::unfold(read, async |mut read| Some((read.recv().await?, read)));
    let body = Body::from_stream(pieces.map(Ok::<_, std::convert::Infallible>));
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(kind));
    (headers, body).into_response()
}

async fn sql(State(parts): State<Parts>, Json(request): Json<SqlRequest>) -> Response {
    let (frames, read) = mpsc::channel::<Bytes>(4);
    parts.tasks.clone().spawn(async move {
        // A command that went away takes its query with it, planning included.
        tokio::select! {
            () = frames.closed() => {}
            outcome = answer(&parts, request, &frames) => {
                let last = match outcome {
                    Ok(()) => frame(Kind::Done, b""),
                    Err(problem) => frame(Kind::Problem, json!(problem).to_string().as_bytes()),
                };
                let _ = frames.send(last).await;
            }
        }
    });
    stream_body(read, "application/octet-stream")
}

async fn answer(parts: &Parts, request: SqlRequest, frames: &mpsc::Sender<Bytes>) -> Result<(), Problem> {
    let told = |error: WarehouseError| error.problem();
    // The socket opens for the project's owner only.
    let options = SessionOptions {
        default_dataset: request.default_dataset,
        time_zone: request.time_zone,
        origin: Some(Origin { door: Door::Cli, address: None, client: "naru sql".to_owned() }),
        ..SessionOptions::of(Principal::Owner)
    };
    let session = parts.warehouse.session(options).map_err(told)?;
    let mut result = session.run(&request.sql).await.map_err(told)?;
    let head = Head {
        time_zone: result.time_zone.clone(),
        versions: result.versions.iter().map(|(id, version)| (id.to_string(), version.map(|v| v.0))).collect(),
    };
    let gone = |_| Problem::new("server.lost", "the command went away");
    let head = serde_json::to_vec(&head).unwrap_or_default();
    frames.send(frame(Kind::Head, &head)).await.map_err(gone)?;
    let broken = |error| Problem::from_error("server.ipc", "rows could not be sent", &error);
    let mut writer = StreamWriter::try_new(Vec::new(), &result.schema).map_err(broken)?;
    // The columns go first and alone, so that a command knows them before the first row.
    let columns = std::mem::take(writer.get_mut());
    frames.send(frame(Kind::Rows, &columns)).await.map_err(gone)?;
    let mut tick = tokio::time::interval(PROGRESS_EVERY);
    loop {
        let batch = tokio::select! {
            batch = result.next() => batch,
            _ = tick.tick() => {
                frames.send(frame(Kind::Progress, &progress(&result))).await.map_err(gone)?;
                continue;
            }
        };
        let Some(batch) = batch else { break };
        writer.write(&batch.map_err(told)?).map_err(broken)?;
        let bytes = std::mem::take(writer.get_mut());
        frames.send(frame(Kind::Rows, &bytes)).await.map_err(gone)?;
    }
    let rest = writer.into_inner().map_err(broken)?;
    frames.send(frame(Kind::Rows, &rest)).await.map_err(gone)
}

fn progress(result: &ResultSet) -> Vec<u8> {
    let seen = result.progress.seen();
    let value = json!({
        "rows_read": seen.rows_read,
        "rows_total": seen.rows_total,
        "bytes_read": seen.bytes_read,
        "bytes_spilled": seen.bytes_spilled,
    });
    value.to_string().into_bytes()
}
