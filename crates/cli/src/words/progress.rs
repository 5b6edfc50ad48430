//! The line that says how far a query is.
//!
//! Owns: when it is shown (on a terminal, and only for queries that take a while) and what it says. Never counts.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

/// Shorter queries are not talked about.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// How far a query is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    /// Rows that scans have handed on.
    pub(super) rows: u64,
    /// Rows that scans hold, where that is known.
    pub(super) rows_total: Option<u64>,
    /// Bytes written to the spill folder.
    pub(super) spilled: u64,
}

/// One line on standard error, drawn over itself.
#[derive(Debug)]
pub(super) struct ProgressLine {
    began: Instant,
    terminal: bool,
    shown: bool,
}

impl ProgressLine {
    /// A line for a query that begins now.
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), terminal: std::io::stderr().is_terminal(), shown: false }
    }

    /// Draws it, if it is time to.
    pub(super) fn draw(&mut self, standing: Standing) {
        let elapsed = self.began.elapsed();
        if self.terminal && elapsed >= SHOWN_AFTER {
            eprint!("\r\x1b[K{}", text(elapsed, standing));
            self.shown = true;
        }
    }

    /// Takes it away, before anything else is written.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            eprint!("\r\x1b[K");
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.clear();
    }
}

fn text(elapsed: Duration, standing: Standing) -> String {
    let rows = grouped(standing.rows);
    let read = match standing.rows_total {
        Some(total) if total >= standing.rows => format!("{rows} of {} rows read", grouped(total)),
        _ => format!("{rows} rows read"),
    };
    let spilled = match standing.spilled / 1_000_000 {
        0 => String::new(),
        megabytes => format!(", {} MB spilled", grouped(megabytes)),
    };
    format!("{read}{spilled}, {} s  (Ctrl-C cancels)", elapsed.as_secs())
}

/// A number with a comma before every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_rows_spill_and_time() {
        let mut standing = Standing { rows: 12_345_678, rows_total: Some(50_000_000), spilled: 0 };
        assert_eq!(
            text(Duration::from_millis(3_900), standing),
            "12,345,678 of 50,000,000 rows read, 3 s  (Ctrl-C cancels)"
        );
        standing = Standing { rows_total: None, spilled: 1_234_000_000, ..standing };
        assert_eq!(
            text(Duration::from_mins(1), standing),
            "12,345,678 rows read, 1,234 MB spilled, 60 s  (Ctrl-C cancels)"
        );
        assert_eq!([0, 999, 1_000].map(grouped), ["0", "999", "1,000"]);
    }
}
