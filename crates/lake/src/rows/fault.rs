//! Why a row does not fit, in words that a person and a dead-letter table can use.
//!
//! Owns: [`Fault`], [`FaultKind`] and the text of paths. Never holds a value of the row, nor text from inside one.

use std::fmt::{self, Write as _};

/// Paths name fields that came from outside; longer ones are cut.
const PATH_BYTES_MAX: usize = 400;

/// What is wrong, as a stable word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The bytes are not one JSON text in UTF-8.
    NotJson,
    /// More levels than are read.
    TooDeep,
    /// More bytes than are read.
    TooLarge,
    /// A JSON type that the column does not take.
    Type,
    /// The right JSON type, but a value that the column's type does not have.
    Value,
    /// A required column without a value.
    Missing,
    /// A field that is no column, where the topic refuses those.
    Unknown,
    /// A field that stands twice.
    Duplicate,
    /// Nothing is wrong with the row: the builder must be finished before it takes more.
    Full,
}

impl FaultKind {
    /// The stable code, as dead letters keep it.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotJson => "row.not_json",
            Self::TooDeep => "row.too_deep",
            Self::TooLarge => "row.too_large",
            Self::Type => "row.type",
            Self::Value => "row.value",
            Self::Missing => "row.missing",
            Self::Unknown => "row.unknown_field",
            Self::Duplicate => "row.duplicate_field",
            Self::Full => "row.batch_full",
        }
    }
}

/// One row that does not fit, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: `$.a.b[2]`; names that are not plain words are quoted.
    pub path: String,
    /// What the column takes.
    pub expected: String,
    /// The JSON type, or what is wrong with the value. Never the value.
    pub got: String,
    /// What kind of fault.
    pub kind: FaultKind,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, got {}", self.path, self.expected, self.got)
    }
}

impl Fault {
    /// A fault of the whole text.
    pub(super) fn whole(kind: FaultKind, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { path: "$".to_owned(), expected: expected.into(), got: got.into(), kind }
    }

    /// A fault at the place where the walk is; the levels above it put their parts before it.
    pub(super) fn here(kind: FaultKind, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { path: String::new(), expected: expected.into(), got: got.into(), kind }
    }

    /// Says that the fault lies in this member.
    #[must_use]
    pub(super) fn in_member(mut self, name: &str) -> Self {
        self.path.insert_str(0, &member(name));
        self
    }

    /// Says that the fault lies in this element.
    #[must_use]
    pub(super) fn in_element(mut self, index: usize) -> Self {
        self.path.insert_str(0, &format!("[{index}]"));
        self
    }

    /// Ends the path at the row.
    #[must_use]
    pub(super) fn in_row(mut self) -> Self {
        self.path.insert(0, '$');
        if self.path.len() > PATH_BYTES_MAX {
            let end = self.path.floor_char_boundary(PATH_BYTES_MAX);
            self.path.truncate(end);
            self.path.push('…');
        }
        self
    }
}

/// `.name`, or `."any name"` as in GoogleSQL's JSONPath.
fn member(name: &str) -> String {
    let plain = name.chars().all(|letter| letter.is_alphanumeric() || letter == '_') && !name.is_empty();
    if plain {
        return format!(".{name}");
    }
    let mut quoted = String::with_capacity(name.len() + 3);
    quoted.push_str(".\"");
    for letter in name.chars() {
        match letter {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_any_field_and_stays_short() {
        let fault = Fault::here(FaultKind::Type, "INT64", "string").in_element(2).in_member("b c\"").in_member("가");
        assert_eq!(fault.clone().in_row().path, "$.가.\"b c\\\"\"[2]");
        assert_eq!(fault.in_row().to_string(), "$.가.\"b c\\\"\"[2]: expected INT64, got string");
        let long = Fault::here(FaultKind::Unknown, "a column", "a field").in_member(&"나".repeat(1000)).in_row();
        assert!(long.path.len() <= PATH_BYTES_MAX + 3 && long.path.ends_with('…'));
    }
}
