//! Cluster folders for PostgreSQL: which binaries, which user, and a template that spares each test an `initdb`.
//!
//! Owns: finding the binaries, the unprivileged user, the cached template. Never starts a server that stays.
//! Read next: `postgres`.

use std::{
    fs::{self, File},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

/// Password of the superuser `postgres` on TCP connections of every test server.
pub(crate) const PASSWORD: &str = "naru";

/// Who runs the server: PostgreSQL refuses root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

/// The account to switch to, or `None` when this process is not root and may run the server itself.
pub(crate) fn account() -> Option<Account> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(Account { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    };
    Some(find("postgres").or_else(|| find("nobody")).expect("a user postgres or nobody to run PostgreSQL as"))
}

/// A command that runs as `account`, from a folder that account may enter, in its own process group: a test runner
/// that signals the group must not take the server from under a test's clean-up.
pub(crate) fn command(program: &Path, account: Option<Account>, inside: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(inside).env("LC_ALL", "C").process_group(0);
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    command
}

/// Gives `path` to `account`.
pub(crate) fn hand_over(path: &Path, account: Option<Account>) {
    if let Some(Account { uid, gid }) = account {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("give a folder to the server's user");
    }
}

/// The folder with `postgres` and `initdb`: `NARU_PG_BIN`, or 15 if installed, or the newest of 14 and later.
pub(crate) fn binaries() -> PathBuf {
    if let Some(path) = std::env::var_os("NARU_PG_BIN") {
        return PathBuf::from(path);
    }
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(version, path)| *version >= 14 && path.join("postgres").exists() && path.join("initdb").exists())
        .collect();
    found.sort_by_key(|(version, _)| (*version == 15, *version));
    found
        .pop()
        .expect("PostgreSQL 14 or later in /usr/lib/postgresql (or NARU_PG_BIN); `cargo xtask test` installs it")
        .1
}

/// `${XDG_CACHE_HOME:-~/.cache}/naru`.
pub(crate) fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    base.join("naru")
}

/// Runs `work` while no other process holds the lock file at `path`.
pub(crate) fn locked<T>(path: &Path, work: impl FnOnce() -> T) -> T {
    fs::create_dir_all(path.parent().expect("a lock file stands in a folder")).expect("make the cache folder");
    let lock = File::options().create(true).append(true).open(path).expect("open a lock file");
    lock.lock().expect("lock the cache");
    work()
}

/// Fills `data` with a new cluster owned by `account`.
///
/// Clusters copied from the template share one system identifier; `own_identity` runs `initdb` for one of its own.
pub(crate) fn create(binaries: &Path, data: &Path, account: Option<Account>, own_identity: bool) {
    if own_identity {
        initdb(binaries, data, account);
        return;
    }
    copy(&template(binaries, account), data, account);
}

fn initdb(binaries: &Path, data: &Path, account: Option<Account>) {
    let parent = data.parent().expect("a cluster stands in a folder");
    let password = parent.join("password");
    fs::write(&password, PASSWORD).expect("write the password file");
    hand_over(&password, account);
    let output = command(&binaries.join("initdb"), account, parent)
        .args(["--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"])
        .args(["--auth-local=trust", "--auth-host=scram-sha-256"])
        .arg(format!("--pwfile={}", password.display()))
        .arg("-D")
        .arg(data)
        .output()
        .expect("run initdb");
    assert!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    fs::remove_file(&password).expect("remove the password file");
}

/// The cached cluster of these binaries; made on first use, renamed into place when whole.
fn template(binaries: &Path, account: Option<Account>) -> PathBuf {
    let version = Command::new(binaries.join("postgres")).arg("--version").output().expect("run postgres --version");
    let name: String = String::from_utf8_lossy(&version.stdout)
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' })
        .collect();
    let folder = cache().join("pg-template");
    let ready = folder.join(name.trim_matches('-'));
    if ready.exists() {
        return ready;
    }
    locked(&folder.join("lock"), || {
        if ready.exists() {
            return;
        }
        // The server's user may not enter this user's cache folder, so the cluster is made in a temporary one.
        let made = tempfile::Builder::new().prefix("naru-initdb-").tempdir().expect("make a temporary folder");
        hand_over(made.path(), account);
        let data = made.path().join("data");
        initdb(binaries, &data, account);
        let half = folder.join(format!("half-{}", std::process::id()));
        copy(&data, &half, None);
        fs::rename(&half, &ready).expect("put the template in place");
    });
    ready
}

/// Copies a cluster folder; PostgreSQL wants mode 0700 on all of it.
pub(crate) fn copy(from: &Path, to: &Path, account: Option<Account>) {
    fs::create_dir(to).expect("make a cluster folder");
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).expect("close the cluster folder to others");
    hand_over(to, account);
    for entry in fs::read_dir(from).expect("read the template").map(|entry| entry.expect("read the template")) {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("read the template").is_dir() {
            copy(&entry.path(), &target, account);
        } else {
            fs::copy(entry.path(), &target).expect("copy a template file");
            hand_over(&target, account);
        }
    }
}
