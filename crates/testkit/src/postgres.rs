//! A throw-away PostgreSQL server, ready for logical replication.
//!
//! Owns: its folder, its process, and that neither outlives the test, even one that was killed: a watchdog process
//! holds a pipe from the test and cleans up when it closes. Never touches another server.
//! Read next: `cluster` for how a start takes less than a second.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use std::os::unix::process::CommandExt;

use rustix::process::{Pid, Signal, kill_process};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::{cluster, port, temp::Folder};

/// How long a start or a clean stop may take on a loaded machine.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// A fast shutdown waits for replication clients; one that does not answer is not waited for longer than this.
const STOP_FAST_MAX: Duration = Duration::from_secs(10);
/// Pause between looks at a server that starts or stops.
const POLL: Duration = Duration::from_millis(10);
/// Starts on other ports when somebody took the one that was free.
const PORTS_TRIED_MAX: u32 = 5;

/// Settings of a test server.
///
/// Durability is off, replication is on, the WAL kept for slots is capped as naru's preflight asks.
#[derive(Debug, Clone)]
pub struct Options {
    settings: Vec<(String, String)>,
    own_identity: bool,
}

impl Default for Options {
    fn default() -> Self {
        let defaults = [
            ("wal_level", "logical"),
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("max_connections", "60"),
            ("max_wal_senders", "20"),
            ("max_replication_slots", "20"),
            ("max_slot_wal_keep_size", "4GB"),
            ("max_prepared_transactions", "10"),
            ("shared_buffers", "32MB"),
            ("jit", "off"),
            ("timezone", "UTC"),
            ("lc_messages", "C"),
            ("wal_receiver_status_interval", "1s"),
        ];
        let settings = defaults.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { settings, own_identity: false }
    }
}

impl Options {
    /// Sets one server setting; a later one wins.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives the cluster a system identifier of its own (an `initdb`, about two seconds).
    #[must_use]
    pub fn own_identity(mut self) -> Self {
        self.own_identity = true;
        self
    }
}

/// A running PostgreSQL. Dropping it stops the server and removes its folder.
#[derive(Debug)]
pub struct PostgresServer {
    folder: Folder,
    binaries: PathBuf,
    account: Option<cluster::Account>,
    port: u16,
    server: Option<Child>,
    // Closing this pipe tells the watchdog that the test is over.
    watchdog: Child,
    _alive: ChildStdin,
}

impl PostgresServer {
    /// Makes a cluster and starts it on a free loopback port and on a Unix socket in its own folder.
    pub async fn start(options: Options) -> Self {
        let folder = Folder::new("pg");
        let account = cluster::account();
        let binaries = cluster::binaries();
        cluster::hand_over(folder.path(), account);
        let data = folder.join("data");
        let make = (binaries.clone(), data.clone(), options.own_identity);
        tokio::task::spawn_blocking(move || cluster::create(&make.0, &make.1, account, make.2))
            .await
            .expect("make a cluster");
        write_settings(&data, &options.settings);
        let (watchdog, alive) = watch(folder.path());
        let mut made = Self { folder, binaries, account, port: port::free(), server: None, watchdog, _alive: alive };
        for _ in 1..PORTS_TRIED_MAX {
            if made.spawn_and_wait().await {
                return made;
            }
            made.port = port::free();
        }
        assert!(made.spawn_and_wait().await, "PostgreSQL did not start: {}", made.log());
        made
    }

    /// Starts with the default options.
    pub async fn start_default() -> Self {
        Self::start(Options::default()).await
    }

    /// URL of the database `postgres` for the superuser, with its password, over TCP.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// URL of another database.
    pub fn url_of(&self, database: &str) -> String {
        self.url_through(self.port, "postgres", cluster::PASSWORD, database)
    }

    /// URL through another port (a [`crate::TcpProxy`]), or for another role.
    pub fn url_through(&self, port: u16, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{port}/{database}")
    }

    /// The loopback TCP port. A restart keeps it.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with `psql`, `pg_recvlogical` and the others.
    pub fn binaries(&self) -> &Path {
        &self.binaries
    }

    /// The folder of the cluster's data.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A connection of the superuser to the database `postgres`.
    pub async fn client(&self) -> Client {
        self.client_of("postgres").await
    }

    /// A connection of the superuser to `database`. The connection ends when the client is dropped.
    pub async fn client_of(&self, database: &str) -> Client {
        self.connect(database).await.unwrap_or_else(|error| panic!("connect to {database}: {error}\n{}", self.log()))
    }

    /// Runs statements in one simple-protocol message: without `BEGIN`, they are one implicit transaction.
    pub async fn execute(&self, sql: &str) {
        let client = self.client().await;
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Rows of the last statement as PostgreSQL's text.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let client = self.client().await;
        let answer = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let row = |message: SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(ToOwned::to_owned)).collect())
            }
            _ => None,
        };
        answer.into_iter().filter_map(row).collect()
    }

    /// The one value of a one-row, one-column query, as text.
    pub async fn value(&self, sql: &str) -> String {
        self.rows(sql).await.into_iter().flatten().flatten().next().unwrap_or_else(|| panic!("no value from {sql}"))
    }

    /// Stops cleanly, ending open connections.
    pub async fn stop(&mut self) {
        self.signal(Signal::INT);
        if !self.ended(STOP_FAST_MAX).await {
            self.signal(Signal::QUIT);
            assert!(self.ended(WAIT_MAX).await, "PostgreSQL did not stop: {}", self.log());
        }
    }

    /// Starts again after [`Self::stop`] or [`Self::kill9`], on the same port.
    pub async fn start_again(&mut self) {
        let began = Instant::now();
        // After a kill the old backends may hold the shared memory for a moment.
        while !self.spawn_and_wait().await {
            assert!(began.elapsed() < WAIT_MAX, "PostgreSQL did not start again: {}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Stops cleanly and starts again.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Starts again as a standby that follows nobody, as an old primary does after a failover.
    pub async fn become_standby(&mut self) {
        self.stop().await;
        let signal = self.data().join("standby.signal");
        fs::write(&signal, "").expect("write standby.signal");
        cluster::hand_over(&signal, self.account);
        self.start_again().await;
    }

    /// Copies the cluster as it is, stopped for as long as that takes.
    pub async fn back_up(&mut self) {
        self.stop().await;
        cluster::copy(&self.data(), &self.folder.join("backup"), self.account);
        self.start_again().await;
    }

    /// Puts back what [`Self::back_up`] copied: the same cluster, on the same timeline, as it was then.
    pub async fn put_back(&mut self) {
        self.stop().await;
        fs::remove_dir_all(self.data()).expect("remove the cluster");
        cluster::copy(&self.folder.join("backup"), &self.data(), self.account);
        self.start_again().await;
    }

    /// Ends the standby's recovery; the server goes on as a primary on a new timeline.
    pub async fn promote(&self) {
        self.execute("SELECT pg_promote(true, 60)").await;
    }

    /// Every table of the schema `public`, with its rows, as SQL.
    pub async fn dump(&self) -> String {
        let output = tokio::process::Command::new(self.binaries.join("pg_dump"))
            .args(["--table=public.*", "--inserts", "--rows-per-insert=500", "--no-comments"])
            .arg(self.url())
            .output()
            .await
            .expect("run pg_dump");
        assert!(output.status.success(), "pg_dump failed: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        // What begins with a backslash is for psql alone.
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('\\')).collect();
        lines.join("\n")
    }

    /// Kills the server and all its backends as a lost machine would.
    pub async fn kill9(&mut self) {
        let Some(server) = &self.server else { return };
        let postmaster = server.id();
        let backends = children(postmaster);
        self.signal(Signal::KILL);
        for backend in backends {
            send(backend, Signal::KILL);
        }
        assert!(self.ended(WAIT_MAX).await, "PostgreSQL survived kill -9");
    }

    /// What the server wrote to its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    async fn connect(&self, database: &str) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path()).port(self.port).user("postgres").dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// `false` when the server ended instead of becoming ready.
    async fn spawn_and_wait(&mut self) -> bool {
        let log = fs::File::options().create(true).append(true).open(self.folder.join("server.log")).expect("open log");
        let child = cluster::command(&self.binaries.join("postgres"), self.account, self.folder.path())
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path())
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start postgres");
        self.server = Some(child);
        let began = Instant::now();
        while began.elapsed() < WAIT_MAX {
            if self.connect("postgres").await.is_ok() {
                return true;
            }
            if self.ended(POLL).await {
                return false;
            }
        }
        panic!("PostgreSQL did not become ready: {}", self.log());
    }

    /// Waits until the process ended, at most `wait`.
    async fn ended(&mut self, wait: Duration) -> bool {
        let began = Instant::now();
        loop {
            let Some(server) = &mut self.server else { return true };
            if server.try_wait().expect("wait for postgres").is_some() {
                self.server = None;
                return true;
            }
            if began.elapsed() >= wait {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(server) = &self.server {
            send(server.id(), signal);
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            eprintln!("PostgreSQL's last words:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        self.signal(Signal::QUIT);
        if let Some(server) = &mut self.server {
            let _ended = server.wait();
        }
        // The server is gone: the watchdog has nothing left to do.
        let _killed = self.watchdog.kill();
        let _ended = self.watchdog.wait();
    }
}

fn write_settings(data: &Path, settings: &[(String, String)]) {
    let lines: Vec<String> =
        settings.iter().map(|(name, value)| format!("{name} = '{}'", value.replace('\'', "''"))).collect();
    let path = data.join("postgresql.conf");
    let mut text = fs::read_to_string(&path).expect("read postgresql.conf");
    text.push_str(&lines.join("\n"));
    text.push('\n');
    fs::write(&path, text).expect("write postgresql.conf");
}

/// Starts a shell that waits for this process to vanish, then kills the server of `folder` and removes the folder.
fn watch(folder: &Path) -> (Child, ChildStdin) {
    const SCRIPT: &str = r#"
        read -r _
        pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null)
        if [ -n "$pid" ] && tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null | grep -qF "$0/data"; then kill -QUIT "$pid"; fi
        while [ -n "$pid" ] && [ -d "/proc/$pid" ]; do sleep 0.1; done
        rm -rf "$0"
    "#;
    let mut watchdog = Command::new("sh")
        .arg("-c")
        .arg(SCRIPT)
        .arg(folder)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start the watchdog");
    let alive = watchdog.stdin.take().expect("the watchdog's pipe");
    (watchdog, alive)
}

fn send(process: u32, signal: Signal) {
    if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // A process that ended by itself meanwhile is what we wanted.
        let _gone = kill_process(process, signal);
    }
}

/// Processes whose parent is `parent`.
fn children(parent: u32) -> Vec<u32> {
    let is_child = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The name in parentheses may hold spaces; state and parent follow the last one.
        let after = stat.rsplit(')').next().unwrap_or_default();
        after.split_whitespace().nth(1).and_then(|text| text.parse().ok()) == Some(parent)
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(is_child)
        .collect()
}
