//! Runs end-to-end scripts: a project folder, the built `naru`, and a real PostgreSQL behind a breakable proxy.
//!
//! Owns: the words of a script (`scripts/README.md` lists them) and the world they act on.
//! Never does: look inside naru; a script sees what a user sees.
//! Read next: [`script`] for the form, [`world`] for the steps.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod answer;
pub mod script;
pub mod sessions;
pub mod world;

use std::path::Path;

/// Runs one script, named by its path below `scripts/`, to its end; stops the test at the first step that does not
/// hold, naming file and line.
///
/// # Panics
/// When a step does not hold, or the file is not a script.
pub fn run(script: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(script);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{script}: {error}"));
    let steps = script::parse(&text).unwrap_or_else(|mistake| panic!("{script}:{mistake}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Steps block this thread; the proxy and the connections go on upon the runtime's own.
    runtime.block_on(async {
        let mut world = world::World::new();
        for step in &steps {
            if let Err(reason) = world.play(step).await {
                panic!("{script}:{}: {} {}\n{reason}", step.line, step.word, step.argument);
            }
        }
    });
}
