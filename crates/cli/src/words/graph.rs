//! `naru graph`: how marts depend on each other. Touches nothing.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Failure;
use crate::home::Home;

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
    pub(super) fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let home = Home::open(place)?;
        let (graph, problems) = home.graph(&home.known_tables()?);
        let all = graph.select(&self.marts)?;
        print!(
            "{}",
            match self.format {
                Form::Text => graph.to_text(&all),
                Form::Dot => graph.to_dot(&all),
                Form::Json => format!("{:#}\n", graph.to_json(&all)),
            }
        );
        if problems.is_empty() { Ok(()) } else { Err(Failure::Problems(problems)) }
    }
}
