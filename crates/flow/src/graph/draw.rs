//! The graph for eyes and for programs.
//!
//! Owns: the text, DOT and JSON forms. Never colours (the terminal does) and never looks at runs.

use std::collections::{BTreeMap, BTreeSet};

use naru_base::TableId;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::{Graph, Mart};

/// Columns of a terminal after which a line breaks. A Korean letter takes two.
const LINE_WIDTH_MAX: usize = 110;
/// Names that are longer push what follows out of its column.
const NAME_WIDTH_MAX: usize = 48;

impl Graph {
    /// The selected marts by layers, each with what it reads, its checks, its schedule and its owner. `remarks` are
    /// added to the lines of their marts.
    pub fn to_text(&self, selected: &BTreeSet<TableId>, remarks: &BTreeMap<TableId, String>) -> String {
        let marts: Vec<&Mart> = self.marts().iter().filter(|mart| selected.contains(&mart.id)).collect();
        let mut text = sources_text(&outside(&marts, selected));
        let mut layers: BTreeMap<usize, Vec<&Mart>> = BTreeMap::new();
        for mart in &marts {
            layers.entry(self.layer(&mart.id)).or_default().push(mart);
        }
        let name_width = marts.iter().map(|mart| mart.id.to_string().width()).max().unwrap_or(0).min(NAME_WIDTH_MAX);
        for (at, (_, layer)) in layers.iter_mut().enumerate() {
            layer.sort_by(|a, b| a.id.cmp(&b.id));
            for (line, mart) in layer.iter().enumerate() {
                let head = if line == 0 { format!("{:>3}", at + 1) } else { "   ".to_owned() };
                let bar = if line == 0 { '┬' } else { '│' };
                for (at, part) in mart_lines(mart, name_width, remarks.get(&mart.id)).into_iter().enumerate() {
                    let (head, bar) = if at == 0 { (head.as_str(), bar) } else { ("   ", '│') };
                    push_line(&mut text, format!("{head} {bar} {part}").trim_end());
                }
            }
        }
        text
    }

    /// The selected marts and what they read, as GraphViz reads it.
    pub fn to_dot(&self, selected: &BTreeSet<TableId>) -> String {
        let marts: Vec<&Mart> = self.marts().iter().filter(|mart| selected.contains(&mart.id)).collect();
        let mut text = "digraph marts {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", shape=box];\n".to_owned();
        for source in outside(&marts, selected) {
            push_line(&mut text, &format!("  {} [shape=cylinder];", dot_name(&source)));
        }
        for mart in &marts {
            let style = match mart.kind {
                crate::Kind::Table => "solid",
                crate::Kind::View => "dashed",
            };
            push_line(&mut text, &format!("  {} [style={style}];", dot_name(&mart.id)));
        }
        for mart in &marts {
            for read in &mart.reads {
                push_line(&mut text, &format!("  {} -> {};", dot_name(read), dot_name(&mart.id)));
            }
        }
        text.push_str("}\n");
        text
    }

    /// The selected marts as `{marts: [...], sources: [...]}`, in an order in which they can be built.
    pub fn to_json(&self, selected: &BTreeSet<TableId>) -> Value {
        let marts: Vec<&Mart> = self.marts().iter().filter(|mart| selected.contains(&mart.id)).collect();
        let sources: Vec<String> = outside(&marts, selected).iter().map(ToString::to_string).collect();
        let marts: Vec<Value> = marts.iter().map(|mart| self.mart_json(mart)).collect();
        json!({ "marts": marts, "sources": sources })
    }

    fn mart_json(&self, mart: &Mart) -> Value {
        let names = |ids: &BTreeSet<TableId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let checks: Vec<Value> = mart
            .checks
            .iter()
            .map(|check| json!({ "name": check.name, "severity": check.severity.word(), "sql": check.sql }))
            .collect();
        json!({
            "table": mart.id.to_string(),
            "kind": mart.kind.word(),
            "file": mart.place.file.display().to_string(),
            "layer": self.layer(&mart.id),
            "reads": names(&mart.reads),
            "read_by": self.below(&mart.id).map(|below| below.id.to_string()).collect::<Vec<_>>(),
            "checks": checks,
            "schedule": mart.schedule.as_ref().map(naru_project::Schedule::text),
            "description": mart.description,
            "owner": mart.owner,
            "problem": mart.broken,
        })
    }
}

/// What the selected marts read that is not selected itself.
fn outside(marts: &[&Mart], selected: &BTreeSet<TableId>) -> BTreeSet<TableId> {
    marts.iter().flat_map(|mart| &mart.reads).filter(|id| !selected.contains(id)).cloned().collect()
}

/// One line, and more where what it reads does not fit on it.
fn mart_lines(mart: &Mart, name_width: usize, remark: Option<&String>) -> Vec<String> {
    let name = mart.id.to_string();
    let padding = " ".repeat(name_width.saturating_sub(name.width()));
    let mut lines = vec![format!("{name}{padding}  {:<5}", mart.kind.word())];
    let indent = name_width + 2 + 5;
    let reads = mart.reads.iter().enumerate().map(|(at, read)| {
        let comma = if at + 1 < mart.reads.len() { "," } else { "" };
        if at == 0 { format!("  ← {read}{comma}") } else { format!(" {read}{comma}") }
    });
    let mut facts: Vec<String> = reads.collect();
    match mart.checks.len() {
        0 => {}
        1 => facts.push("  · 1 check".to_owned()),
        many => facts.push(format!("  · {many} checks")),
    }
    facts.extend(mart.schedule.as_ref().map(|schedule| format!("  · at \"{}\"", schedule.text())));
    facts.extend(mart.owner.as_ref().map(|owner| format!("  · {owner}")));
    facts.extend(mart.broken.as_ref().map(|problem| format!("  · broken: {}", problem.summary)));
    facts.extend(remark.map(|remark| format!("  · {remark}")));
    for fact in facts {
        let full = lines.last().is_some_and(|line| line.width() + fact.width() > LINE_WIDTH_MAX);
        if full {
            lines.push(format!("{}    {}", " ".repeat(indent), fact.trim_start()));
        } else if let Some(line) = lines.last_mut() {
            line.push_str(&fact);
        }
    }
    lines
}

/// One line a dataset, broken where it grows long.
fn sources_text(sources: &BTreeSet<TableId>) -> String {
    let mut datasets: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for id in sources {
        datasets.entry(&id.dataset).or_default().push(&id.table);
    }
    let mut text = String::new();
    for (dataset, tables) in datasets {
        let mut line = format!("  0 ─ {dataset}:");
        for table in tables {
            if line.width() + table.width() > LINE_WIDTH_MAX {
                push_line(&mut text, &line);
                line = format!("    {}", " ".repeat(dataset.width() + 1));
            }
            line.push(' ');
            line.push_str(table);
        }
        push_line(&mut text, &line);
    }
    text
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn dot_name(id: &TableId) -> String {
    format!("\"{}\"", id.to_string().replace('\\', "\\\\").replace('"', "\\\""))
}
