//! `naru compare`: source and lake at one same commit. Exit status 1 when they differ.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{Failure, status::problem_lines};
use crate::{home, remote};

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
        let client = remote::needed(&home::find(place)?).await?;
        let compared = remote::call(&client, "compare", &json!({"table": self.table}), |_| {}).await?;
        if self.json {
            println!("{compared:#}");
        } else {
            print!("{}", text(&compared));
        }
        // Who names a table wants to know about that one.
        let settled = equal(&compared) && (self.table.is_none() || tables(&compared).all(|t| t["equal"] == true));
        if settled { Ok(()) } else { Err(Failure::Said) }
    }
}

/// Whether every source was compared, and every table that is followed is equal. What a person paused, what is
/// quarantined and what the source dropped is not followed; a table that is being copied will be.
pub fn equal(compared: &Value) -> bool {
    let set_aside = |table: &Value| matches!(table["state"].as_str(), Some("paused" | "quarantined" | "dropped"));
    let asked = compared.as_array().into_iter().flatten().all(|source| source["note"].is_null());
    asked && tables(compared).all(|table| table["equal"] == true || (table["equal"].is_null() && set_aside(table)))
}

fn tables(compared: &Value) -> impl Iterator<Item = &Value> {
    compared.as_array().into_iter().flatten().flat_map(|source| source["tables"].as_array().into_iter().flatten())
}

/// One line a table.
pub fn text(compared: &Value) -> String {
    let mut text = String::new();
    for source in compared.as_array().into_iter().flatten() {
        let name = source["source"].as_str().unwrap_or("-");
        match source["note"].as_str() {
            None => text += &format!("source {name} at {}\n", source["at"].as_str().unwrap_or("-")),
            Some(note) => text += &format!("source {name} not compared: {note}\n"),
        }
        for line in problem_lines(&source["problem"]) {
            text += &format!("{line}\n");
        }
    }
    for table in tables(compared) {
        let name = format!(
            "{}.{}",
            table["table"]["dataset"].as_str().unwrap_or("-"),
            table["table"]["table"].as_str().unwrap_or("-")
        );
        let note = table["note"].as_str().map(|note| format!(": {note}")).unwrap_or_default();
        let verdict = match table["equal"].as_bool() {
            Some(true) => "equal",
            Some(false) => "DIFFERENT",
            None => {
                text += &format!("  {name:<32} not compared{note}\n");
                continue;
            }
        };
        text += &format!(
            "  {name:<32} source {:>10} rows  lake {:>10} rows  {verdict}{note}\n",
            table["source_rows"], table["lake_rows"]
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_follows_is_no_difference_and_what_is_on_its_way_is_not_equal_yet() {
        let of = |tables: Value| json!([{"source": "shop", "at": "0/1", "tables": tables}]);
        let table = |state: &str, equal: Value| json!({"table": {"dataset": "shop", "table": "t"}, "state": state, "equal": equal});
        assert!(equal(&of(json!([table("live", json!(true)), table("paused", Value::Null)]))));
        assert!(!equal(&of(json!([table("live", json!(false))]))));
        assert!(!equal(&of(json!([table("rebuilding", Value::Null)]))));
        let text = text(&of(json!([{"table": {"dataset": "shop", "table": "t"}, "state": "paused", "equal": null,
                                    "note": "it is paused, not live"}])));
        assert!(text.contains("not compared: it is paused, not live"), "{text}");
    }

    #[test]
    fn a_source_that_was_not_asked_is_never_equal_and_says_why() {
        let unread = json!([{"source": "shop", "at": null, "tables": [], "note": "it is not read yet",
                             "problem": {"code": "c", "summary": "no answer", "hint": "Start it."}}]);
        assert!(!equal(&unread));
        assert_eq!(text(&unread), "source shop not compared: it is not read yet\n  ! no answer\n    Start it.\n");
    }
}
