//! `naru compare`: source and lake at one same commit. Exit status 1 when they differ.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::Failure;
use crate::{home::Home, remote};

/// Compare source and lake at one same commit: rows and hash.
#[derive(Debug, Args)]
pub struct Compare {
    /// Only this table (dataset.table).
    table: Option<String>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let home = Home::open(place)?;
        let client = remote::needed(&home.project.root).await?;
        let compared = remote::call(&client, "compare", &json!({"table": self.table}), |_| {}).await?;
        if self.json {
            println!("{compared:#}");
        } else {
            print!("{}", text(&compared));
        }
        if equal(&compared) { Ok(()) } else { Err(Failure::Said) }
    }
}

/// Whether every table of a comparison is equal.
pub fn equal(compared: &Value) -> bool {
    tables(compared).all(|table| table["equal"] == true)
}

fn tables(compared: &Value) -> impl Iterator<Item = &Value> {
    compared.as_array().into_iter().flatten().flat_map(|source| source["tables"].as_array().into_iter().flatten())
}

/// One line a table.
pub fn text(compared: &Value) -> String {
    let mut text = String::new();
    for source in compared.as_array().into_iter().flatten() {
        let (name, at) = (source["source"].as_str().unwrap_or("-"), source["at"].as_str().unwrap_or("-"));
        text += &format!("source {name} at {at}\n");
    }
    for table in tables(compared) {
        let name = format!(
            "{}.{}",
            table["table"]["dataset"].as_str().unwrap_or("-"),
            table["table"]["table"].as_str().unwrap_or("-")
        );
        let verdict = if table["equal"] == true { "equal" } else { "DIFFERENT" };
        text += &format!(
            "  {name:<32} source {:>10} rows  lake {:>10} rows  {verdict}\n",
            table["source_rows"], table["lake_rows"]
        );
    }
    text
}
