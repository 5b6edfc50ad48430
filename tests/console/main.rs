//! The console as a browser sees it: a running naru with a company's data, and Chromium that looks at every page.
//!
//! Owns: the house (tables, marts of which one fails, a topic with dead letters) and the one-time link into it. What is
//! looked at is in `console/e2e`. `NARU_WRITE_PICTURES=1` renews the guide's pictures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use naru_testkit::{Folder, Naru, Options, PostgresServer, process};
use serde_json::Value;
use tokio_postgres::NoTls;

const NARU_TOML: &str = r#"[project]
name = "acme-shop"
timezone = "Asia/Seoul"
[server]
http = "127.0.0.1:0"
postgres = "127.0.0.1:0"
pubsub = false
[limits]
intake_free_min = "50MB"
copy_free_min = "50MB"
apply_free_min = "20MB"
"#;

const CLICKS: &str = r#"partition = "day(at)"

[columns]
event_id = { type = "STRING", required = true }
name = { type = "STRING", required = true, description = "무슨 일이 있었나. What happened" }
at = { type = "TIMESTAMP", required = true }
user_id = "INT64"
"#;

/// Divides by zero as soon as it has rows: the run of it fails with a place in its SQL.
const FAILING_MART: &str = "/* naru
description: 환불률. The part of orders that was paid back.
owner: finance@shop.example
*/
SELECT
  ordered_on,
  COUNTIF(status = 'refunded') / (COUNT(*) - COUNT(*)) AS refund_rate
FROM staging.orders
GROUP BY ordered_on
";

/// A running naru with everything in it.
struct House {
    project: Folder,
    runtime: Folder,
    naru: Naru,
    server: PostgresServer,
}

impl House {
    async fn start() -> Self {
        let server = PostgresServer::start(Options::default()).await;
        let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.expect("the shop's database");
        let connection = tokio::spawn(connection);
        client.batch_execute(include_str!("shop.sql")).await.expect("the shop's rows");
        drop(client);
        connection.await.expect("the connection ends").expect("well");
        let (project, runtime) = (Folder::new("project"), Folder::new("run"));
        copy(&root().join("examples/shop"), project.path());
        project.write("naru.toml", NARU_TOML);
        project.write("topics/clicks.toml", CLICKS);
        project.write("marts/finance/refund_rate.sql", FAILING_MART);
        let mut command = command(&project, &runtime);
        let naru = Naru::start(command.arg("up").env("SHOP_URL", server.url()));
        naru.wait_line("naru is up");
        let house = Self { project, runtime, naru, server };
        house.fill();
        house
    }

    /// Waits for the tables, then leaves a failed run and dead letters behind.
    fn fill(&self) {
        let began = std::time::Instant::now();
        while !self.status()["ready"].as_bool().unwrap_or_default() {
            assert!(began.elapsed() < Duration::from_mins(3), "not ready: {}", self.naru.output());
            std::thread::sleep(Duration::from_millis(200));
        }
        let ran = self.command().arg("run").output().expect("naru run");
        assert!(!ran.status.success(), "one mart fails: {}", String::from_utf8_lossy(&ran.stdout));
        let event = |at: usize| {
            let user = if at.is_multiple_of(9) { r#"{"id": 7}"#.to_owned() } else { (at % 40).to_string() };
            let name = ["보기", "담기", "결제"][at % 3];
            format!(
                r#"{{"event_id": "e{at}", "name": "{name}", "at": "2026-11-2{}T0{}:00:00Z", "user_id": {user}}}"#,
                at % 3,
                at % 10
            )
        };
        let lines: Vec<String> = (0..120).map(event).collect();
        let file = self.project.write("clicks.ndjson", &lines.join("\n"));
        let published = self.command().args(["publish", "clicks"]).arg(&file).output();
        let published = published.expect("naru publish");
        assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    }

    /// A word in the project folder, with what its source needs.
    fn command(&self) -> Command {
        let mut command = command(&self.project, &self.runtime);
        command.env("SHOP_URL", self.server.url());
        command
    }

    fn status(&self) -> Value {
        let status = self.command().args(["status", "--json"]).output().expect("naru status");
        serde_json::from_slice(&status.stdout).expect("status is JSON")
    }

    /// The link that opens the console signed in, once.
    fn link(&self) -> String {
        let said = self.command().arg("console").output().expect("naru console");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let link = said.split_whitespace().find(|word| word.contains("/signin/open#"));
        link.unwrap_or_else(|| panic!("`naru console` gave no link: {said}")).to_owned()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn command(project: &Folder, runtime: &Folder) -> Command {
    let mut command = process::command(project.path());
    command.env("XDG_RUNTIME_DIR", runtime.path());
    command
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder of the project");
    for entry in fs::read_dir(from).expect("the example") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file of the project");
        }
    }
}

#[tokio::test]
async fn every_page_is_clean_in_both_languages_light_and_dark_wide_and_narrow() {
    let house = House::start().await;
    let pictures = if std::env::var_os("NARU_WRITE_PICTURES").is_some() {
        root().join("docs/guide/pictures")
    } else {
        house.runtime.join("pictures")
    };
    let mut look = Command::new("node");
    look.arg("e2e/run.mjs").arg(house.link()).arg(&pictures).current_dir(root().join("console"));
    let looked = look.output().expect("node, which `cargo xtask console` installs");
    let said = format!("{}{}", String::from_utf8_lossy(&looked.stdout), String::from_utf8_lossy(&looked.stderr));
    assert!(looked.status.success(), "{said}");
}
