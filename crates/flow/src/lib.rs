//! Marts: tables and views made from SQL files, in dependency order, checked before anyone sees them.
//!
//! Owns: the graph, runs, their states, schedules, settling after a crash.
//! Never does: parse or run SQL (see [`front`] and [`executor`], which `cli` implements), touch tables or object
//! stores, know of HTTP or terminals.
//! Read next: [`graph`], then [`state`], then [`flow`].
//!
//! ```no_run
//! # use std::{collections::BTreeSet, sync::Arc};
//! # use naru_flow::{Executor, Flow, FlowOptions, Graph, KnownTables, SqlFront, run::{Reason, Request}};
//! # async fn example(project: naru_project::Project, front: &dyn SqlFront, store: naru_store::Store,
//! #     executor: Arc<dyn Executor>) -> Result<(), naru_flow::FlowError> {
//! let graph = Arc::new(Graph::build(&project, front, &KnownTables::new()).graph);
//! let flow = Flow::open(store, executor, FlowOptions { parallelism: 4, retry_waits: None }).await?;
//! flow.settle().await?;
//! let marts = graph.select(&["+finance.revenue"]).map_err(naru_flow::FlowError::Refused)?;
//! let request = Request { reason: Reason::Manual, words: "+finance.revenue".into(), by: None, why: None, marts };
//! let report = flow.run(graph, request).await?;
//! # Ok(())
//! # }
//! ```

mod board;
mod cut;
mod drive;
mod error;
pub mod executor;
pub mod flow;
pub mod front;
pub mod graph;
pub mod grid;
pub mod history;
mod journal;
mod known;
pub mod pause;
pub mod resume;
pub mod rollback;
pub mod run;
pub mod schedule;
pub mod scheduler;
pub mod settle;
pub mod state;
mod work;

pub use cut::{Cut, PinnedView};
pub use error::FlowError;
pub use executor::{Attempt, CheckWork, Executor, Input, Inputs, Kind, Pins, StageWork, Staged, StagedColumn};
pub use flow::{Flow, FlowOptions, RunHandle};
pub use front::{SqlFront, SqlMistake, TableRead};
pub use graph::{Built, Graph, Mart};
pub use known::KnownTables;
/// A check of a mart, as doors show it.
pub use naru_quality::CompiledCheck;
pub use resume::ByHand;
pub use scheduler::Scheduler;
pub use state::{Event, NodeState};
