//! Embeds the console only when `console/dist` is a build of the sources beside it.
//!
//! A debug build reads `console/dist` while it runs and judges it then, so nothing is rebuilt when the console changes.

#[path = "src/console/sources.rs"]
mod sources;

use std::path::Path;

use sources::Build;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(naru_console)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/console/sources.rs");
    if std::env::var_os("CARGO_CFG_DEBUG_ASSERTIONS").is_some() {
        return;
    }
    let console = Path::new("../../console");
    for path in ["build", "dist", "index.html", "package-lock.json", "package.json", "public", "src", "tsconfig.json"] {
        println!("cargo::rerun-if-changed={}", console.join(path).display());
    }
    println!("cargo::rerun-if-changed={}", console.join("vite.config.ts").display());
    match sources::build(console) {
        Build::Current => println!("cargo::rustc-cfg=naru_console"),
        Build::Stale => println!(
            "cargo::warning=console/dist is a build of other sources and is left out; `cargo xtask console` builds it"
        ),
        Build::Missing => {
            println!("cargo::warning=the console is not built and is left out; `cargo xtask console` builds it");
        }
    }
}
