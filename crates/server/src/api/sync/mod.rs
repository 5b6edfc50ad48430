//! Sources and their tables for the console, the CLI and other programs.
//!
//! Owns: the port to what follows sources, the routes, and who may ask for what. Never connects to a source by itself.
//!
//! A table that the caller may not see is not there. A source is there for those who may see its dataset or one of its
//! tables; what is wrong with it as a whole is told to those who may see the dataset. Connecting a database is for
//! administrators of the project.

mod actions;
mod connect;
mod views;

use std::path::PathBuf;

use async_trait::async_trait;
use naru_access::Action;
use naru_base::{Problem, TableId};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use connect::{Checked, Draft};
pub use views::Sample;

use super::{Api, ApiProblem, permit::permit};
use crate::signin::caller::Caller;

/// What can be asked of a table's engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableWord {
    /// Copy it again.
    Resync,
    /// Stop it; its changes wait on disk.
    Pause,
    /// Let it go on.
    Resume,
}

/// What the sync pages need of the running naru.
#[async_trait]
pub trait SyncPort: Send + Sync {
    /// Every source as `naru status --json` shows it, also one whose file is gone, each with its `dataset`.
    async fn sources(&self) -> Vec<Value>;
    /// How fast a source goes, measured over the last minutes; none before two measurements.
    fn sample(&self, source: &str) -> Option<Sample>;
    /// Marts that read a table, by name.
    fn marts_below(&self, table: &TableId) -> Vec<TableId>;
    /// Does something with a table.
    ///
    /// # Errors
    /// Why nothing was done.
    async fn table(&self, word: TableWord, table: &TableId) -> Result<(), Problem>;
    /// Compares one table with its source at one commit, as `naru compare --json` shows it.
    ///
    /// # Errors
    /// No source writes the table.
    async fn compare(&self, table: &TableId) -> Result<Value, Problem>;
    /// Asks a database what keeps it from being followed; changes nothing there.
    async fn check(&self, draft: &Draft) -> Checked;
    /// Writes a source's file, which naru follows from its next start.
    ///
    /// # Errors
    /// The file is there already, or the folder has mistakes with it; then nothing is written.
    async fn write(&self, draft: &Draft) -> Result<PathBuf, Problem>;
}

/// The routes of this noun.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(actions::sources))
        .routes(routes!(actions::follow))
        .routes(routes!(actions::table))
        .routes(routes!(actions::act))
        .routes(routes!(actions::compare))
        .routes(routes!(connect::check))
        .routes(routes!(connect::connect))
}

/// The answer for a table that no source writes.
fn no_such_table(table: impl std::fmt::Display) -> Problem {
    Problem::new("sync.no_table", format!("no source writes a table {table}"))
        .hint("`naru status` lists the tables of every source.")
}

/// A table that the caller may act on so.
fn allowed(api: &Api, caller: &Caller, action: Action, name: &str) -> Result<TableId, ApiProblem> {
    let table: TableId = name.parse().map_err(|_| ApiProblem::not_found(no_such_table(name)))?;
    let decision = api.policy.now().decide(&caller.principal, action, &table);
    permit(decision, || no_such_table(&table))?;
    Ok(table)
}
