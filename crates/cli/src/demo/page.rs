//! The demo's live page: tables and marts as they stand, redrawn in place on a terminal, a line now and then elsewhere.
//!
//! Owns: drawing. Never asks anything; it is handed the status.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use serde_json::Value;

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";

/// The page.
#[derive(Debug)]
pub struct Page {
    terminal: bool,
    drawn_lines: usize,
    last_line: Option<Instant>,
}

impl Page {
    /// Draws on standard error, which carries talk.
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), drawn_lines: 0, last_line: None }
    }

    /// Draws the status over what was drawn before.
    pub fn draw(&mut self, status: &Value, freshness: Option<Duration>) {
        if !self.terminal {
            if self.last_line.is_none_or(|at| at.elapsed() >= LINE_EVERY) {
                self.last_line = Some(Instant::now());
                eprintln!("{}", one_line(status, freshness));
            }
            return;
        }
        let lines = lines(status, freshness);
        let mut text = String::new();
        if self.drawn_lines > 0 {
            text = format!("\x1b[{}A", self.drawn_lines);
        }
        for line in &lines {
            text.push_str("\x1b[2K");
            text.push_str(line);
            text.push('\n');
        }
        for _ in lines.len()..self.drawn_lines {
            text.push_str("\x1b[2K\n");
        }
        self.drawn_lines = self.drawn_lines.max(lines.len());
        // A terminal that went away is no reason to end the demo.
        drop(std::io::stderr().write_all(text.as_bytes()));
    }

    /// Leaves the last picture standing.
    pub fn close(mut self, status: &Value) {
        self.draw(status, None);
    }
}

fn tables(status: &Value) -> impl Iterator<Item = &Value> {
    let sources = status["sources"].as_array().into_iter().flatten();
    sources.flat_map(|source| source["tables"].as_array().into_iter().flatten())
}

fn one_line(status: &Value, freshness: Option<Duration>) -> String {
    let live = tables(status).filter(|table| table["state"] == "live").count();
    let rows: u64 = tables(status).filter_map(|table| table["rows"].as_u64()).sum();
    let fresh = freshness.map_or(String::new(), |f| format!(", fresh to {} ms", f.as_millis()));
    format!("{live} of {} tables live, {rows} rows{fresh}", tables(status).count())
}

/// The colour of a state: green is good, yellow is on its way, red needs somebody.
fn colour(state: &str) -> &'static str {
    match state {
        "live" | "done" => "\x1b[32m",
        "quarantined" | "failed" | "blocked" | "dropped" => "\x1b[31m",
        _ => "\x1b[33m",
    }
}

fn lines(status: &Value, freshness: Option<Duration>) -> Vec<String> {
    let mut lines = vec![format!(
        "{BOLD}naru demo{RESET}  {DIM}{:<24}{:>14}{:>12}{:>12}{:>8}{RESET}",
        "state", "rows", "lag ms", "spool B", "files"
    )];
    for source in status["sources"].as_array().into_iter().flatten() {
        let phase = source["phase"].as_str().unwrap_or("-");
        let retained = source["retained_bytes"].as_i64().unwrap_or(0);
        lines.push(format!(
            "  source {} {phase}, {retained} bytes of WAL kept",
            source["source"].as_str().unwrap_or("-")
        ));
    }
    let mut last_definition = None;
    for table in tables(status) {
        lines.push(table_line(table));
        last_definition =
            table["last_definition"].as_str().map(|d| (table["source_table"].clone(), d)).or(last_definition);
    }
    for mart in status["marts"].as_array().into_iter().flatten() {
        let name = name(&mart["mart"]);
        let state = mart["latest"][1]["state"].as_str().unwrap_or("waiting");
        let rows = mart["latest"][1]["rows"].as_u64().map_or(String::new(), |rows| rows.to_string());
        lines.push(format!("  {name:<28} {}{state:<12}{RESET}{rows:>14}", colour(state)));
    }
    if let Some((table, definition)) = last_definition {
        lines.push(format!("  {DIM}last schema change: {} {definition}{RESET}", table.as_str().unwrap_or("-")));
    }
    if let Some(fresh) = freshness {
        lines.push(format!("  commit to visible in SQL: {BOLD}{} ms{RESET}", fresh.as_millis()));
    }
    lines
}

fn name(table: &Value) -> String {
    format!("{}.{}", table["dataset"].as_str().unwrap_or("-"), table["table"].as_str().unwrap_or("-"))
}

fn table_line(table: &Value) -> String {
    let state = table["state"].as_str().unwrap_or("-");
    let rows = table["copied"].as_u64().or_else(|| table["rows"].as_u64()).unwrap_or(0);
    let lag = table["lag_ms"].as_u64().map_or(String::new(), |lag| lag.to_string());
    format!(
        "  {:<28} {}{state:<12}{RESET}{rows:>14}{lag:>12}{:>12}{:>8}",
        name(&table["table"]),
        colour(state),
        table["spool_bytes"].as_u64().unwrap_or(0),
        table["files"].as_u64().unwrap_or(0)
    )
}
