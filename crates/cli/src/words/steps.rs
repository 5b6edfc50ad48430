//! How a run of marts is told while it goes on.
//!
//! Owns: a line for every mart that begins or ends, and on a terminal one more line, drawn over itself, that says how
//! far the run is. Never knows where the run goes on.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::IsTerminal as _,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinHandle;
use unicode_width::UnicodeWidthStr as _;

/// How often the drawn line is drawn again.
const DRAWN_EVERY: Duration = Duration::from_millis(500);
/// Marts that the drawn line names.
const NAMED_MAX: usize = 3;
/// Columns of a terminal for a name.
const NAME_WIDTH: usize = 32;

/// What is told of one run.
#[derive(Debug)]
pub(super) struct Steps {
    told: Arc<Mutex<Told>>,
    drawing: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Told {
    began: Instant,
    terminal: bool,
    drawn: bool,
    cancelling: bool,
    run: Option<i64>,
    marts: u64,
    ended: u64,
    building: BTreeMap<String, String>,
}

impl Steps {
    /// Nothing was heard yet.
    pub(super) fn begin() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let told = Arc::new(Mutex::new(Told {
            began: Instant::now(),
            terminal,
            drawn: false,
            cancelling: false,
            run: None,
            marts: 0,
            ended: 0,
            building: BTreeMap::new(),
        }));
        let drawing = terminal.then(|| {
            let told = told.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(DRAWN_EVERY).await;
                    told.lock().draw();
                }
            })
        });
        Self { told, drawing }
    }

    /// Takes one message of the run: its number and size, then the steps of its marts.
    pub(super) fn hear(&self, message: &Value) {
        self.told.lock().hear(message);
    }

    /// The run, once it was named.
    pub(super) fn run(&self) -> Option<i64> {
        self.told.lock().run
    }

    /// Says that the run was asked to stop.
    pub(super) fn cancelling(&self) {
        let mut told = self.told.lock();
        told.cancelling = true;
        told.say("cancelling; what is being committed is finished first");
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        if let Some(drawing) = &self.drawing {
            drawing.abort();
        }
        self.told.lock().clear();
    }
}

impl Told {
    fn hear(&mut self, message: &Value) {
        if let Some(marts) = message["marts"].as_u64() {
            self.run = message["run"].as_i64();
            self.marts = marts;
            return;
        }
        let (name, state) = (name(message), message["state"].as_str().unwrap_or_default());
        match state {
            "waiting" | "ready" | "queued" => {}
            "running" | "staged" | "auditing" | "committing" => {
                if self.building.insert(name, state.to_owned()).is_none() && !self.terminal {
                    self.say(&line(message));
                }
            }
            "retry_wait" => {
                self.building.remove(&name);
                self.say(&line(message));
            }
            _ => {
                self.building.remove(&name);
                self.ended += 1;
                self.say(&line(message));
            }
        }
        self.draw();
    }

    fn say(&mut self, text: &str) {
        self.clear();
        eprintln!("{text}");
    }

    fn draw(&mut self) {
        if !self.terminal || self.marts == 0 {
            return;
        }
        eprint!("\r\x1b[K{}", self.standing());
        self.drawn = true;
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            eprint!("\r\x1b[K");
        }
    }

    fn standing(&self) -> String {
        let mut names: Vec<String> =
            self.building.iter().take(NAMED_MAX).map(|(name, state)| format!("{name} ({state})")).collect();
        if let Some(more) = self.building.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            names.push(format!("{more} more"));
        }
        let building = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
        let cancel = if self.cancelling { "cancelling" } else { "Ctrl-C cancels" };
        format!("{} of {} ended{building}, {} s  ({cancel})", self.ended, self.marts, self.began.elapsed().as_secs())
    }
}

/// A mart's name from a step or report.
fn name(mart: &Value) -> String {
    let part = |key: &str| mart["mart"][key].as_str().unwrap_or("-");
    format!("{}.{}", part("dataset"), part("table"))
}

/// A name and the blanks that make it as wide as the others; a Korean letter is as wide as two others.
pub(super) fn padded(name: &str) -> String {
    format!("{name}{}", " ".repeat(NAME_WIDTH.saturating_sub(name.width())))
}

/// One mart of a step or report on one line.
pub(super) fn line(mart: &Value) -> String {
    let rows = mart["rows"].as_u64().map_or(String::new(), |rows| format!("{rows} rows"));
    let elapsed = mart["elapsed_ms"].as_u64().map_or(String::new(), |elapsed| format!("{elapsed} ms"));
    let (state, cause) = (mart["state"].as_str().unwrap_or("-"), mart["cause"].as_str().unwrap_or_default());
    format!("{} {state:<12} {rows:>14} {elapsed:>10}  {cause}", padded(&name(mart))).trim_end().to_owned()
}

/// Why a mart of a report did not get done, in full, with its place and owner; empty for one that did, and for one that
/// only waited for another.
pub(super) fn reason(mart: &Value) -> String {
    let problem = &mart["problem"];
    let Some(summary) = problem["summary"].as_str() else { return String::new() };
    let place = &problem["place"];
    let place = match (place["file"].as_str(), &place["line"], &place["column"]) {
        (Some(file), line, column) => format!("{file}:{line}:{column}: "),
        (None, _, _) => String::new(),
    };
    let mut text = format!("\n{}: {place}{summary}\n", name(mart));
    for (key, label) in [("detail", "detail"), ("hint", "hint")] {
        if let Some(sentence) = problem[key].as_str() {
            let _ = writeln!(text, "{label}: {sentence}");
        }
    }
    if let Some(owner) = mart["owner"].as_str() {
        let _ = writeln!(text, "owner: {owner}");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told() -> Told {
        Told {
            began: Instant::now(),
            terminal: false,
            drawn: false,
            cancelling: false,
            run: None,
            marts: 0,
            ended: 0,
            building: BTreeMap::new(),
        }
    }

    #[test]
    fn the_drawn_line_says_how_far_the_run_is_and_what_is_being_built() {
        let mut told = told();
        told.hear(&json!({"run": 7, "marts": 6}));
        let step = |table: &str, state: &str| json!({"mart": {"dataset": "a", "table": table}, "state": state});
        for table in ["w", "x", "y", "z"] {
            told.hear(&step(table, "running"));
        }
        told.hear(&step("w", "done"));
        told.hear(&step("x", "auditing"));
        assert_eq!(
            told.standing(),
            "1 of 6 ended: a.x (auditing), a.y (running), a.z (running), 0 s  (Ctrl-C cancels)"
        );
        assert_eq!(told.run, Some(7));
    }

    #[test]
    fn a_reason_has_its_place_and_the_owner_of_the_mart() {
        let place = json!({"file": "marts/a/매출.sql", "line": 3, "column": 8});
        let problem = json!({"summary": "it is wrong", "hint": "Mend it.", "place": place});
        let mart = json!({"mart": {"dataset": "a", "table": "매출"}, "problem": problem, "owner": "ji@acme.kr"});
        assert_eq!(reason(&mart), "\na.매출: marts/a/매출.sql:3:8: it is wrong\nhint: Mend it.\nowner: ji@acme.kr\n");
        assert_eq!(padded("a.매출").width(), padded("a.sales").width());
    }
}
