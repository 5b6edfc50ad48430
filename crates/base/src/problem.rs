//! The one shape in which every error reaches a person.
//!
//! Owns: [`Problem`], its text form and its JSON form.
//! Never holds row values or secrets; a type error says the type it got, the value stays in its table.

use std::{borrow::Cow, fmt, path::PathBuf};

use serde::Serialize;

/// Whether trying again, without anyone changing anything, can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The same call fails the same way until someone changes something.
    Never,
    /// The cause is outside and may pass (network, server restart, a lock); naru retries by itself.
    Later,
}

/// A position in a text file of the project folder. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// File, relative to the project folder.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The place of a line and column, both from 1, of a text that begins here.
    #[must_use]
    pub fn below(&self, line: usize, column: usize) -> Self {
        let file = self.file.clone();
        match line {
            0 | 1 => Self { file, line: self.line, column: self.column + column.saturating_sub(1) },
            _ => Self { file, line: self.line + line - 1, column: column.max(1) },
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// What happened to which object, why, and what to do.
///
/// `summary` is lowercase and without a full stop; `detail` and `hint` are sentences.
/// `code` is stable (`sync.slot_lost`) and is what translations and scripts key on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable dotted code, `<room>.<what>`.
    pub code: Cow<'static, str>,
    /// What happened to which object.
    pub summary: String,
    /// Why, in sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do, in sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where in the project folder, when the cause is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Whether waiting can help.
    pub retry: Retry,
}

impl Problem {
    /// Builds a problem that waiting does not mend.
    pub fn new(code: impl Into<Cow<'static, str>>, summary: impl Into<String>) -> Self {
        Self { code: code.into(), summary: summary.into(), detail: None, hint: None, place: None, retry: Retry::Never }
    }

    /// Adds the reason.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the position in the project folder.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Marks the cause as one that may pass by itself.
    #[must_use]
    pub fn later(mut self) -> Self {
        self.retry = Retry::Later;
        self
    }

    /// Builds a problem from an error of a library, with its chain of causes as the detail.
    pub fn from_error(
        code: impl Into<Cow<'static, str>>,
        summary: impl Into<String>,
        error: &(dyn std::error::Error + 'static),
    ) -> Self {
        Self::new(code, summary).detail(chain(error))
    }
}

/// Joins an error and its causes into one line, leaving out a cause that its parent already quotes.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let line = cause.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        next = cause.source();
    }
    text
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.summary)?;
        if let Some(detail) = &self.detail {
            write!(f, "\ndetail: {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_prints_summary_detail_and_hint_on_lines_of_their_own() {
        let problem = Problem::new("sync.retyped", "table \"orders\" stopped syncing")
            .detail("Column \"total\" changed from integer to text at 0/16B3748.")
            .hint("Run `naru sync resync shop.orders`.");
        assert_eq!(
            problem.to_string(),
            "table \"orders\" stopped syncing\n\
             detail: Column \"total\" changed from integer to text at 0/16B3748.\n\
             hint: Run `naru sync resync shop.orders`."
        );
    }

    #[test]
    fn a_cause_that_its_parent_already_quotes_is_not_printed_twice() {
        let inner = Problem::new("a", "disk full");
        #[derive(Debug)]
        struct Outer(Problem);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "write failed: disk full")
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        assert_eq!(chain(&Outer(inner)), "write failed: disk full");
    }
}
