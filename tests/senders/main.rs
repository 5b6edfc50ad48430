//! The published libraries of other systems send to a running `naru up`, each with its one setting changed.
//!
//! Owns: what SQL shows of what they sent, and TLS as Mixpanel's library needs it. Never knows a wire format.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod kills;

use std::{path::Path, process::Command};

use naru_testkit::{Folder, Naru, node, process, python};
use serde_json::Value;

/// Senders of events in Python.
const PYTHON: &[&str] = &[
    "cloudevents==2.2.0",
    "mixpanel==5.4.1",
    "opentelemetry-exporter-otlp-proto-http==1.45.2",
    "opentelemetry-sdk==1.45.2",
    "segment-analytics-python==2.4.0",
];
/// Senders of events in Node.js.
const NODE: &[&str] = &[
    "@opentelemetry/exporter-logs-otlp-http@0.301.0",
    "@opentelemetry/exporter-logs-otlp-proto@0.301.0",
    "@opentelemetry/sdk-logs@3.1.0",
    "@rudderstack/rudder-sdk-node@3.0.13",
    "@segment/analytics-node@3.1.0",
    "cloudevents@10.0.0",
    "mixpanel@0.24.0",
];

const NARU_TOML: &str = r#"[project]
name = "acme"
[server]
http = "127.0.0.1:0"
postgres = false
pubsub = false
[intake]
keys = "required"
[limits]
intake_free_min = "50MB"
copy_free_min = "50MB"
apply_free_min = "20MB"
"#;

/// A project with the guide's topics, and naru up in it.
struct House {
    project: Folder,
    runtime: Folder,
    _naru: Naru,
    address: String,
}

/// The topic files of `docs/guide/topics-senders.md`.
fn topics() -> Vec<(String, String)> {
    let guide = include_str!("../../docs/guide/topics-senders.md");
    let block = |block: &str| {
        let (head, text) = block.strip_prefix("toml ")?.split_once('\n')?;
        head.starts_with("topics/").then(|| (head.to_owned(), text.to_owned()))
    };
    guide.split("\n```").filter_map(block).collect()
}

impl House {
    fn start(tls: &str) -> Self {
        let (project, runtime) = (Folder::new("project"), Folder::new("run"));
        let intake = if tls.is_empty() { "[intake]" } else { "[intake]\nrate = 10" };
        project.write("naru.toml", &NARU_TOML.replace("[intake]", &format!("{tls}\n{intake}")));
        for (path, text) in topics() {
            project.write(&path, &text);
        }
        if !tls.is_empty() {
            certificate(&project);
        }
        let naru = Naru::start(command(&project, &runtime).arg("up"));
        naru.wait_line("naru is up");
        let status = command(&project, &runtime).args(["status", "--json"]).output().expect("naru status");
        let status: Value = serde_json::from_slice(&status.stdout).expect("status is JSON");
        let address = status["listeners"]["http"].as_str().expect("the HTTP door's address").to_owned();
        Self { project, runtime, _naru: naru, address }
    }

    fn naru(&self, words: &[&str]) -> String {
        let output = command(&self.project, &self.runtime).args(words).output().expect("run naru");
        let written = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words:?}: {written}{}", String::from_utf8_lossy(&output.stderr));
        written
    }

    /// A key for these topics.
    fn key(&self, topics: &str) -> String {
        let said = self.naru(&["token", "new", "sdk", "--send", topics]);
        assert!(said.contains(&self.address), "the settings are ready: {said}");
        said.lines().next().expect("the key").to_owned()
    }

    /// Asks until the answer is `wanted`: rows are visible a moment after they are acknowledged.
    fn holds(&self, sql: &str, wanted: &str) {
        let mut got = String::new();
        for _ in 0..600 {
            got = self.naru(&["sql", "--format", "csv", sql]);
            if got.lines().skip(1).collect::<Vec<_>>().join("\n") == wanted {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("{sql}\nwanted:\n{wanted}\ngot:\n{got}");
    }
}

fn command(project: &Folder, runtime: &Folder) -> Command {
    let mut command = process::command(project.path());
    command.env("XDG_RUNTIME_DIR", runtime.path());
    command
}

/// A certificate for loopback that signs itself.
fn certificate(folder: &Folder) {
    let arguments = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
    ];
    let made = Command::new("openssl").args(arguments).current_dir(folder.path()).output().expect("run openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn events_of_published_libraries_are_rows() {
    let house = House::start("");
    let key = house.key("track,people,calls,logs,cloud");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("senders/clients.py");
    let said = python::run_file(PYTHON, &script, &[&house.address, &key]);
    assert!(said.contains("all sent"), "{said}");
    let said = node::run(NODE, include_str!("clients.js"), &[&house.address, &key]);
    assert!(said.contains("all sent"), "{said}");
    house.holds(
        "SELECT event, distinct_id, COUNT(insert_id) > 0, MIN(time) > '2020-01-01', COUNT(*) FROM topics.track GROUP BY 1, 2 ORDER BY 1",
        "A,u4,false,true,1\nB,u4,false,true,1\nClicked,u3,false,true,1\nOld,u2,true,true,1\nSigned up,u1,true,true,1",
    );
    house.holds(
        "SELECT COALESCE(distinct_id, group_id), COUNT(*) FROM topics.people GROUP BY 1 ORDER BY 1",
        "acme,1\nu1,1\nu3,1",
    );
    house.holds(
        "SELECT type, event, userId FROM topics.calls ORDER BY userId, type",
        "identify,,u1\ntrack,Bought,u1\ntrack,Node bought,u5\ntrack,Rudder bought,u6",
    );
    house.holds(
        "SELECT severity_text, JSON_VALUE(attributes, '$.n'), JSON_VALUE(body) FROM topics.logs ORDER BY 3",
        "WARN,7,first\nINFO,8,http\nINFO,8,proto",
    );
    house.holds(
        "SELECT id, COUNT(*), MIN(JSON_VALUE(data, '$.n')) FROM topics.cloud GROUP BY 1 ORDER BY 1",
        "ce-1,2,1\nce-2,2,2",
    );
    for topic in ["track", "people", "calls", "logs", "cloud"] {
        house.holds(&format!("SELECT COUNT(*) FROM topics.{topic}__dead"), "0");
    }
}

#[test]
fn mixpanels_library_sends_over_tls_and_waits_when_it_is_told_to() {
    let house = House::start("tls = { certificate = \"cert.pem\", key = \"key.pem\" }");
    let key = house.key("track");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("senders/secure.py");
    let certificate = house.project.join("cert.pem");
    let said = python::run_file(PYTHON, &script, &[&house.address, &key, &certificate.display().to_string()]);
    assert!(said.contains("all sent"), "{said}");
    house.holds(
        "SELECT event, COUNT(DISTINCT insert_id) FROM topics.track GROUP BY 1 ORDER BY 1",
        "Buffered,120\nOver TLS,1",
    );
}
