//! `naru graph`: how marts depend on each other. Touches nothing.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Args, ValueEnum};
use naru_base::TableId;
use naru_flow::history;
use naru_store::Store;

use super::Failure;
use crate::{home::Home, running::flow_failed};

/// Show how marts depend on each other.
#[derive(Debug, Args)]
pub struct Graph {
    /// Marts: NAME, NAME+, +NAME, dataset.*; default: all.
    marts: Vec<String>,
    /// How to draw it.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// Layers, for eyes.
    Text,
    /// For Graphviz.
    Dot,
    /// For programs.
    Json,
}

impl Graph {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let home = Home::look(place)?;
        let (graph, problems) = home.graph(&home.known_tables()?);
        let all = graph.select(&self.marts)?;
        let remarks = match home.store_for_reading()? {
            Some(store) => remarks(&store, &graph).await?,
            None => BTreeMap::new(),
        };
        print!(
            "{}",
            match self.format {
                Form::Text => graph.to_text(&all, &remarks),
                Form::Dot => graph.to_dot(&all),
                Form::Json => format!("{:#}\n", graph.to_json(&all)),
            }
        );
        if problems.is_empty() { Ok(()) } else { Err(Failure::Problems(problems)) }
    }
}

/// What a reader of the graph should know about what is live of a mart.
async fn remarks(store: &Store, graph: &naru_flow::Graph) -> Result<BTreeMap<TableId, String>, Failure> {
    let status = history::status(store, graph, jiff::Timestamp::now()).await.map_err(flow_failed)?;
    let rolled_back =
        |mart: history::MartStatus| Some((mart.mart, format!("rolled back to run {}", mart.rolled_back?.to)));
    Ok(status.into_iter().filter_map(rolled_back).collect())
}
