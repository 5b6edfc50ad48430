//! The set-up of every bench: a PostgreSQL with settings like a real one's, a project folder, and naru as a process.
//!
//! Owns: starting and watching them from outside. Never looks inside naru.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use naru_testkit::{Folder, Naru, Options, PostgresServer, process};
use tokio_postgres::Client;

/// Pause between two looks at the source or the lake; it bounds the error of a measurement.
const POLL: Duration = Duration::from_millis(2);
/// No single wait of a bench is longer.
const WAIT_MAX: Duration = Duration::from_hours(1);

/// A source, a project and perhaps a running naru.
pub struct World {
    /// The source.
    pub server: PostgresServer,
    /// A session of the superuser at the source.
    pub client: Client,
    /// The project folder.
    pub project: Folder,
    runtime: Folder,
    naru: Option<Naru>,
}

impl World {
    /// A server with logical replication and a project with it as the source `shop`, copied over one connection.
    pub async fn new() -> Self {
        let options = Options::default()
            .with("shared_buffers", "512MB")
            .with("max_wal_size", "8GB")
            .with("max_slot_wal_keep_size", "64GB")
            .with("autovacuum", "off");
        let server = PostgresServer::start(options).await;
        let client = server.client().await;
        let project = Folder::new("bench");
        // A port of its own, known beforehand: `naru token new` prints the one in the settings.
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a free port");
        project.write(
            "naru.toml",
            &format!("[project]\nname = \"bench\"\n[server]\nhttp = false\npostgres = \"{free}\"\npubsub = false\n"),
        );
        project.write("sources/shop.toml", "kind = \"postgres\"\nurl = \"${SHOP_URL}\"\n[copy]\nparallelism = 1\n");
        Self { server, client, project, runtime: Folder::new("run"), naru: None }
    }

    /// From the next start naru joins and rewrites no files by itself, as on a disk that is nearly full.
    pub fn rewrite_nothing(&self) {
        let settings = std::fs::read_to_string(self.project.join("naru.toml")).expect("naru.toml");
        self.project.write("naru.toml", &format!("{settings}[limits]\ncopy_free_min = \"1000TB\"\n"));
    }

    /// Runs statements at the source.
    pub async fn sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// One value from the source, as text; empty for null.
    pub async fn value(&self, sql: &str) -> String {
        let messages = self.client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let value = messages.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(ToOwned::to_owned),
            _ => None,
        });
        value.unwrap_or_default()
    }

    /// A table `orders` of 8 columns of everyday types with `rows` rows.
    pub async fn orders(&self, rows: u64) {
        self.sql(&format!(
            "CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int NOT NULL, status text NOT NULL,
                 amount numeric(12, 2) NOT NULL, ratio float8, paid boolean, at timestamptz NOT NULL, note text);
             INSERT INTO orders SELECT g, g % 100000, 'status ' || g % 7, g % 1000000 / 100.0, g / 7.0, g % 3 = 0,
                 timestamptz '2026-01-01' + g * interval '1 second', 'note of order ' || g
                 FROM generate_series(1, {rows}) g"
        ))
        .await;
        self.sql("VACUUM ANALYZE orders").await;
        self.sql("CHECKPOINT").await;
    }

    /// A `naru` command in this project.
    pub fn command(&self) -> Command {
        let mut command = process::command(self.project.path());
        command.env("SHOP_URL", self.server.url()).env("XDG_RUNTIME_DIR", self.runtime.path());
        command
    }

    /// Starts `naru up`.
    pub fn up(&mut self) {
        self.naru = Some(Naru::start(self.command().arg("up")));
    }

    /// Stops it as Ctrl-C does.
    pub fn stop(&mut self) {
        if let Some(mut naru) = self.naru.take() {
            let status = naru.interrupt();
            assert!(status.success(), "naru ended with {status}:\n{}", naru.output());
        }
    }

    /// Runs one `naru` command to its end and returns its standard output.
    pub fn naru(&self, words: &[&str]) -> String {
        let output = self.command().args(words).output().expect("run naru");
        assert!(output.status.success(), "naru {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until `done`, looking every [`POLL`]; stops the bench when naru ended.
    pub async fn wait(&mut self, what: &str, mut done: impl AsyncFnMut(&Self) -> bool) -> Duration {
        let began = Instant::now();
        while !done(self).await {
            if let Some(naru) = &mut self.naru {
                assert!(naru.is_running(), "naru ended before {what}:\n{}", naru.output());
            }
            assert!(began.elapsed() < WAIT_MAX, "waited too long for {what}");
            tokio::time::sleep(POLL).await;
        }
        began.elapsed()
    }

    /// Waits until every row of `table` is in the lake and it streams.
    pub async fn wait_live(&mut self, table: &str) {
        let needle = format!("\"{table}\"");
        self.wait("the table to be live", async |world| {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let status = world.command().args(["status", "--json"]).output().expect("run naru status");
            let status = String::from_utf8_lossy(&status.stdout).into_owned();
            status.contains(&needle) && status.contains("\"live\"") && !status.contains("\"copying\"")
        })
        .await;
    }

    /// Waits until a session at the source runs a `COPY`.
    pub async fn wait_copy_begins(&mut self) {
        self.wait("the copy", async |world| {
            let copies = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ILIKE 'COPY%'";
            world.value(copies).await != "0"
        })
        .await;
    }

    /// Waits until naru follows its slot.
    pub async fn wait_streaming(&mut self) {
        self.wait("the stream", async |world| {
            world.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'naru%' AND active").await
                != "0"
        })
        .await;
    }

    /// Waits until naru has acknowledged `lsn`, which it does only when all before is in Delta commits.
    pub async fn wait_acknowledged(&mut self, lsn: &str) -> Duration {
        let sql = format!(
            "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'naru%' AND confirmed_flush_lsn >= '{lsn}'"
        );
        self.wait("the acknowledgement", async |world| world.value(&sql).await != "0").await
    }

    /// Where the log of the source ends now.
    pub async fn position(&self) -> String {
        self.value("SELECT pg_current_wal_lsn()").await
    }

    /// The folder of a table in the lake.
    pub fn table(&self, table: &str) -> PathBuf {
        self.project.join("lake/shop").join(table)
    }

    /// CPU time of the running naru so far.
    pub fn cpu(&self) -> Duration {
        cpu_of(self.naru.as_ref().expect("naru runs").id())
    }

    /// Highest resident memory of the running naru so far, in MB.
    pub fn memory_peak_mb(&self) -> u64 {
        let id = self.naru.as_ref().expect("naru runs").id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        line.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) / 1024
    }
}

/// CPU time of a process so far.
pub fn cpu_of(id: u32) -> Duration {
    const TICKS_PER_SECOND: u64 = 100;
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// Files with this ending below a folder of the lake, and their bytes.
pub fn files(folder: PathBuf, ending: &str) -> (u64, u64) {
    let mut sum = (0, 0);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|found| found == ending) {
            sum.0 += 1;
            sum.1 += entry.metadata().map_or(0, |metadata| metadata.len());
        }
    }
    sum
}

/// `NARU_BENCH_ROWS`, or the bench's own number.
pub fn rows(default: u64) -> u64 {
    std::env::var("NARU_BENCH_ROWS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
