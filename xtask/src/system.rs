//! What a task needs from the machine, and how it gets there.
//!
//! Owns: finding what is missing, saying it, and installing it with Debian's own packages. Never installs what is
//! there already, and starts no server: Debian would make and start a cluster with the package, so that is switched off.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::step::{Failure, Step};

/// Tells Debian's PostgreSQL packages not to make and start a database server of their own.
const NO_CLUSTER_FILE: &str = "/etc/postgresql-common/createcluster.d/naru.conf";

/// Something the machine must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A C compiler, for the C parts of dependencies.
    Compiler,
    /// Binaries of a PostgreSQL 14 or later; tests and the demo start their own servers with them.
    Postgres,
    /// Python with venv, for independent readers of our tables.
    Python,
    /// Node.js with npm, for other people's clients of our doors.
    Node,
    /// Chromium and letters for Korean, for looking at the console.
    Browser,
    /// NATS with JetStream, the peer of the bench of event intake.
    Nats,
    /// `rustfmt` and `clippy` of this toolchain.
    Lints,
}

impl Need {
    fn is_met(self) -> bool {
        match self {
            Self::Compiler => answers("cc", &["--version"]),
            Self::Postgres => has_postgres(),
            Self::Python => answers("python3", &["-c", "import venv, ensurepip"]),
            Self::Node => answers("node", &["--version"]) && answers("npm", &["--version"]),
            Self::Browser => answers("chromium", &["--version"]),
            Self::Nats => answers("nats-server", &["--version"]),
            Self::Lints => answers("cargo", &["fmt", "--version"]) && answers("cargo", &["clippy", "--version"]),
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Compiler => "gcc: parts of our dependencies are written in C",
            Self::Postgres => "the PostgreSQL server: tests and the demo start throw-away servers of their own with it",
            Self::Python => "python3-venv: other people's readers check our tables (polars, deltalake)",
            Self::Node => "nodejs and npm: the clients that senders use talk to our doors in tests",
            Self::Browser => "chromium and Noto's Korean letters: tests look at every page of the console",
            Self::Nats => "nats-server: the peer that the bench of event intake measures beside naru",
            Self::Lints => "rustfmt and clippy: every change is checked with them",
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Compiler => &["gcc", "libc6-dev"],
            Self::Postgres => &["postgresql-15"],
            Self::Python => &["python3", "python3-venv"],
            Self::Node => &["nodejs", "npm"],
            Self::Browser => &["chromium", "fonts-noto-cjk"],
            Self::Nats => &["nats-server"],
            Self::Lints => &[],
        }
    }
}

/// Installs what is missing of `needs`. Says what and why first; does nothing, offline too, when all is there.
pub fn provide(needs: &[Need]) -> Result<(), Failure> {
    let missing: Vec<Need> = needs.iter().copied().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("this machine lacks:");
    for need in &missing {
        eprintln!("  {}", need.reason());
    }
    if missing.contains(&Need::Lints) {
        Step::new("install lints").run("rustup", &["component", "add", "rustfmt", "clippy"])?;
    }
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages()).copied().collect();
    if !packages.is_empty() {
        install(&packages, missing.contains(&Need::Postgres))?;
    }
    match missing.iter().find(|need| !need.is_met()) {
        None => Ok(()),
        Some(need) => Err(Failure(format!("still missing after the installation: {}", need.reason()))),
    }
}

fn install(packages: &[&str], with_postgres: bool) -> Result<(), Failure> {
    if !answers("apt-get", &["--version"]) {
        return Err(Failure(format!("no apt-get here: please install {} your own way", packages.join(", "))));
    }
    if with_postgres && !Path::new(NO_CLUSTER_FILE).exists() {
        let write = format!(
            "mkdir -p \"$(dirname {NO_CLUSTER_FILE})\" && echo 'create_main_cluster = false' > {NO_CLUSTER_FILE}"
        );
        as_root("let PostgreSQL start no server of its own", &["sh", "-c", &write])?;
    }
    // A fresh machine has no package lists; a stale list is no reason to stop.
    let _stale = as_root("refresh package lists", &["apt-get", "update"]);
    let apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--no-install-recommends"];
    as_root("install packages", &[&apt, packages].concat()).or_else(|failure| {
        // Newer Debians have another version under the plain name.
        let plain: Vec<&str> =
            packages.iter().map(|name| if name.starts_with("postgresql-") { "postgresql" } else { name }).collect();
        if with_postgres { as_root("install packages", &[&apt, plain.as_slice()].concat()) } else { Err(failure) }
    })
}

fn as_root(name: &'static str, words: &[&str]) -> Result<(), Failure> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    match (is_root, words) {
        (true, [program, arguments @ ..]) => Step::new(name).run(program, arguments),
        _ => Step::new(name).run("sudo", words),
    }
}

fn has_postgres() -> bool {
    if let Some(folder) = std::env::var_os("NARU_PG_BIN") {
        return Path::new(&folder).join("postgres").exists();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions
        .filter(|entry| entry.path().join("bin/postgres").exists() && entry.path().join("bin/initdb").exists())
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .any(|version| version >= 14)
}

/// Whether the program is there and content with these arguments.
pub fn answers(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
