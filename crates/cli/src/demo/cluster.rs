//! A PostgreSQL cluster of the demo's own.
//!
//! Owns: finding the server's binaries, making and starting a cluster on a free loopback port as an unprivileged user
//! (PostgreSQL refuses root), stopping it. Never touches a cluster that it did not make.

use std::{
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use naru_base::Problem;

use crate::failure::Failure;

/// How long a start may take.
const START_MAX: Duration = Duration::from_secs(30);

/// A running cluster. Dropping it stops the server.
#[derive(Debug)]
pub struct Cluster {
    port: u16,
    binaries: PathBuf,
    data: PathBuf,
    user: Option<(u32, u32)>,
    server: Child,
}

impl Cluster {
    /// Makes and starts a cluster below `folder`.
    pub async fn start(folder: &Path) -> Result<Self, Failure> {
        let binaries = binaries()?;
        let user = unprivileged()?;
        let data = folder.join("postgres");
        std::fs::create_dir_all(&data)?;
        if let Some((uid, gid)) = user {
            open_to(folder, &data, uid, gid)?;
        }
        let made = run_as(&binaries.join("initdb"), user)
            .args(["--pgdata"])
            .arg(&data)
            .args(["--username=naru", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .current_dir(&data)
            .output()?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr).into_owned();
            return Err(Problem::new("demo.initdb", "a PostgreSQL cluster could not be made").detail(said).into());
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = run_as(&binaries.join("postgres"), user)
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""])
            .args(["-c", "wal_level=logical", "-c", "max_slot_wal_keep_size=4GB", "-c", "fsync=off"])
            .args(["-c", "max_wal_size=4GB", "-c", "shared_buffers=128MB", "-c", "log_min_messages=error"])
            .current_dir(&data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let cluster = Self { port, binaries, data, user, server };
        cluster.answers().await?;
        Ok(cluster)
    }

    /// How to connect.
    pub fn url(&self) -> String {
        format!("postgres://naru@127.0.0.1:{}/shop", self.port)
    }

    async fn answers(&self) -> Result<(), Failure> {
        let end = Instant::now() + START_MAX;
        let config = format!("postgres://naru@127.0.0.1:{}/postgres", self.port);
        loop {
            match tokio_postgres::connect(&config, tokio_postgres::NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    let made = client.batch_execute("CREATE DATABASE shop").await;
                    return made.map_err(|error| {
                        Problem::from_error("demo.database", "the shop's database could not be made", &error).into()
                    });
                }
                Err(error) if Instant::now() > end => {
                    return Err(Problem::from_error("demo.start", "PostgreSQL did not start", &error).into());
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Stops the server.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let asked = run_as(&self.binaries.join("pg_ctl"), self.user)
            .arg("-D")
            .arg(&self.data)
            .args(["-m", "immediate", "-w", "-t", "10", "stop"])
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !asked.is_ok_and(|status| status.success()) && self.server.kill().is_err() {
            tracing::debug!("the demo's PostgreSQL had ended already");
        }
        if let Err(error) = self.server.wait() {
            tracing::debug!(%error, "the demo's PostgreSQL could not be waited for");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if matches!(self.server.try_wait(), Ok(None)) {
            self.end();
        }
    }
}

/// The newest server that Debian's packages installed, or `NARU_PG_BIN`.
fn binaries() -> Result<PathBuf, Failure> {
    if let Some(named) = std::env::var_os("NARU_PG_BIN") {
        return Ok(PathBuf::from(named));
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().ok_or_else(|| {
        Problem::new("demo.no_postgres", "no PostgreSQL server is installed")
            .hint("Install it (`apt-get install postgresql-15`), or use `cargo xtask demo`, which does.")
            .into()
    })
}

/// Whom the server runs as when we are root.
fn unprivileged() -> Result<Option<(u32, u32)>, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut parts = line.split(':').skip(2);
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody")).map(Some).ok_or_else(|| {
        Problem::new("demo.no_user", "PostgreSQL refuses to run as root and there is no user for it")
            .hint("Run the demo as an ordinary user.")
            .into()
    })
}

/// Gives the data folder to the server's user and lets it pass through the folder above.
fn open_to(folder: &Path, data: &Path, uid: u32, gid: u32) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711))?;
    std::os::unix::fs::chown(data, Some(uid), Some(gid))?;
    Ok(())
}

fn run_as(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}
