//! The authorization matrix: every route of the API by every kind of caller, against a whole running naru.
//!
//! The routes come from the API's own document, so one that is added shows here. What each caller gets is written down in
//! `tests/authorization.txt` (`NARU_WRITE_MATRIX=1` writes it anew; read the difference). A hidden object must answer as
//! one that does not exist, to the letter.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use naru_access::{People, Scope, Tokens, Vouched};
use naru_flow::run::Reason;
use naru_server::api;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use crate::{home::Home, words::up::Everything};

const GOLDEN: &str = "tests/authorization.txt";

/// Routes that answer everybody: none below `/api/`.
const OPEN: [&str; 0] = [];

/// A dataset that some are granted, one that is hidden from all but administrators, one that does not exist.
const DATASETS: [&str; 3] = ["finance", "hr", "hx"];

const NARU: &str = r#"[project]
name = "acme"
[server]
http = "127.0.0.1:0"
postgres = "127.0.0.1:0"
pubsub = "127.0.0.1:0"
[sign_in]
client_id = "naru"
domains = ["acme.kr"]
admins = ["boss@acme.kr"]
url = "http://127.0.0.1:6278"
"#;

const ACCESS: &str = r#"[[grants]]
to = "person:viewer@acme.kr"
can = "view"
on = "finance"
[[grants]]
to = "person:editor@acme.kr"
can = "edit"
on = "finance"
[[grants]]
to = "person:owner@acme.kr"
can = "own"
on = "finance"
"#;

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

struct World {
    everything: Everything,
    base: String,
    client: Client,
    /// By name, the least first; nobody has no token.
    callers: Vec<(&'static str, Option<String>)>,
}

async fn world(folder: &Path) -> World {
    write(folder, "naru.toml", NARU);
    write(folder, "access.toml", ACCESS);
    write(folder, "marts/finance/pay.sql", "SELECT 1 AS n");
    write(folder, "marts/hr/pay.sql", "SELECT 2 AS n");
    let everything = Everything::start(Home::open(Some(folder.to_path_buf())).unwrap()).await.unwrap();
    let running = &everything.running;
    running.run_marts(&[], Reason::Manual, None).await.unwrap().ended().await.unwrap();
    let (people, tokens) = (People::new(running.store.clone()), Tokens::new(running.store.clone()));
    let mut callers = vec![("nobody", None)];
    for name in ["stranger", "viewer", "editor", "owner", "boss"] {
        let vouched = Vouched {
            issuer: "https://issuer".to_owned(),
            subject: name.to_owned(),
            email: format!("{name}@acme.kr"),
            shown: name.to_owned(),
            domain: Some("acme.kr".to_owned()),
        };
        let account = people.vouched(vouched).await.unwrap();
        let token = tokens.issue_personal(&account, "test", 1, vec![Scope::Api]).await.unwrap();
        callers.push((name, Some(token.secret.expose().to_owned())));
    }
    let base = format!("http://{}", everything.listeners.addresses()["http"].as_str().unwrap());
    World { everything, base, client: Client::new(), callers }
}

/// A path with its parameters filled in.
fn filled(path: &str, dataset: &str) -> String {
    let pieces = path.split('/').map(|piece| match piece.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
        None => piece.to_owned(),
        Some("table") if path.contains("{dataset}") => "pay".to_owned(),
        Some("mart" | "table") => format!("{dataset}.pay"),
        Some("dataset" | "name" | "source" | "topic") => dataset.to_owned(),
        Some(_) => "999999".to_owned(),
    });
    pieces.collect::<Vec<_>>().join("/")
}

/// What a question about a table asks beside its path.
fn query(path: &str, dataset: &str) -> String {
    match path {
        "/api/v1/access/why" | "/api/v1/access/who" => format!("?table={dataset}.pay"),
        "/api/v1/runs" => format!("?mart={dataset}.pay"),
        _ => String::new(),
    }
}

/// The same answer twice, but for what changes with time and chance.
fn steady(body: &str, dataset: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else { return body.replace(dataset, "DATASET") };
    if let Some(object) = value.as_object_mut() {
        for changing in ["request", "as_of", "now", "at"] {
            object.remove(changing);
        }
    }
    let text = value.to_string().replace(&format!("{dataset}.pay"), "TABLE");
    text.replace(&format!("\"{dataset}\""), "DATASET").replace(&format!("\\\"{dataset}\\\""), "DATASET")
}

/// An answer as the table has it. What somebody who is let in gets of a deed depends on what still runs.
fn written(method: &Method, status: StatusCode) -> String {
    match (method, status.as_u16()) {
        (&Method::GET, code) | (_, code @ (401 | 403 | 404 | 422)) => code.to_string(),
        (_, code @ 500..) => format!("FAULT {code}"),
        _ => "let in".to_owned(),
    }
}

impl World {
    async fn ask(&self, token: Option<&String>, method: &Method, path: &str) -> (StatusCode, String) {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if *method != Method::GET {
            request = request.header("content-type", "application/json").body("{}");
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let streams = response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
        (status, if streams { String::new() } else { response.text().await.unwrap() })
    }
}

fn routes() -> Vec<(Method, String)> {
    let document = serde_json::to_value(api::document()).unwrap();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            if let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) {
                routes.push((method, path.clone()));
            }
        }
    }
    routes.sort_by(|a, b| (&a.1, a.0.as_str()).cmp(&(&b.1, b.0.as_str())));
    routes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_answers_each_kind_of_caller_as_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let (mut told, mut leaks, mut open) = (String::new(), Vec::new(), Vec::new());
    for (method, path) in routes() {
        let mut line = format!("{method} {path}\n");
        for (name, token) in &world.callers {
            let mut answers = BTreeMap::new();
            for dataset in DATASETS {
                let asked = format!("{}{}", filled(&path, dataset), query(&path, dataset));
                let (status, body) = world.ask(token.as_ref(), &method, &asked).await;
                let others = ["hr.pay", "\"hr\""].iter().any(|hidden| body.contains(hidden));
                if others && !asked.contains("hr") && *name != "boss" {
                    leaks.push(format!("{method} {asked} tells {name} of hr: {body}"));
                }
                answers.insert(dataset, (status, steady(&body, dataset)));
            }
            let names_one = filled(&path, "hr") != filled(&path, "hx") || !query(&path, "hr").is_empty();
            if names_one && *name != "boss" && answers["hr"] != answers["hx"] {
                leaks.push(format!("{method} {path} tells {name} hidden from unknown: {answers:?}"));
            }
            if *name == "nobody" && answers.values().any(|(status, _)| *status != StatusCode::UNAUTHORIZED) {
                open.push(path.clone());
            }
            let (granted, hidden) = (written(&method, answers["finance"].0), written(&method, answers["hr"].0));
            let hidden = if granted == hidden { String::new() } else { format!(", hidden {hidden}") };
            writeln!(line, "    {name} {granted}{hidden}").unwrap();
        }
        told.push_str(&line);
    }
    world.everything.stop().await;
    assert_eq!(leaks, Vec::<String>::new());
    assert_eq!(open, OPEN, "routes below /api/ that answer everybody");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    if std::env::var_os("NARU_WRITE_MATRIX").is_some() {
        write(Path::new(env!("CARGO_MANIFEST_DIR")), GOLDEN, &told);
    }
    assert_eq!(told, std::fs::read_to_string(golden).unwrap(), "read the difference, then NARU_WRITE_MATRIX=1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_counts_while_naru_runs_and_mistakes_keep_the_last_good_rights() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let viewer = world.callers.iter().find(|(name, _)| *name == "viewer").and_then(|(_, token)| token.clone());
    let sees = async |dataset: &str| {
        let (_, body) = world.ask(viewer.as_ref(), &Method::GET, "/api/v1/access").await;
        let view: Value = serde_json::from_str(&body).unwrap();
        view["mine"].as_array().unwrap().iter().any(|mine| mine["dataset"] == dataset)
    };
    let until = async |dataset: &str, wanted: bool| {
        let waited = async {
            while sees(dataset).await != wanted {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_mins(2), waited).await.unwrap();
    };
    until("finance", true).await;
    write(folder.path(), "access.toml", &ACCESS.replace("on = \"finance\"", "on = \"hr\""));
    until("hr", true).await;
    assert!(!sees("finance").await);
    write(folder.path(), "access.toml", "[[grants]]\nto = \"everyone\"\n");
    let wrong = async {
        while world.everything.running.access.wrong().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(2), wrong).await.unwrap();
    assert!(sees("hr").await, "the last good rights stay");
    std::fs::remove_file(folder.path().join("access.toml")).unwrap();
    let gone = async {
        while world.everything.running.access.wrong().first().is_none_or(|problem| problem.code != "access.gone") {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(2), gone).await.unwrap();
    assert!(sees("hr").await, "a file that is gone opens nothing");
    write(folder.path(), "access.toml", ACCESS);
    until("finance", true).await;
    assert!(world.everything.running.access.wrong().is_empty());
    let verdict = world.everything.running.audit.verify(None).await.unwrap();
    assert!(verdict.broken.is_none());
    world.everything.stop().await;
}
