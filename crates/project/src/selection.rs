//! Which tables and columns of a source are wanted.
//!
//! Owns: globs over `schema.table` and `schema.table.column`, and what include and exclude mean together.
//! Never asks a source what it has.

use std::fmt;

use globset::{Glob, GlobMatcher};
use naru_base::Place;

use crate::names::nfc;

/// One glob, for example `public.*` or `public.users.password_hash`.
///
/// A part may be quoted (`public."a.b"`), which takes it literally. `*`, `?`, `[ab]` and `{a,b}` are globs.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    place: Place,
    schema: GlobMatcher,
    table: GlobMatcher,
    column: Option<GlobMatcher>,
}

impl Pattern {
    /// Parses a pattern; `place` is where it stands.
    pub(crate) fn parse(text: &str, place: Place) -> Result<Self, String> {
        let parts = split(&nfc(text))?;
        let glob = |part: &str| -> Result<GlobMatcher, String> {
            Glob::new(part).map(|g| g.compile_matcher()).map_err(|e| e.kind().to_string())
        };
        let (schema, table, column) = match parts.as_slice() {
            [schema, table] => (glob(schema)?, glob(table)?, None),
            [schema, table, column] => (glob(schema)?, glob(table)?, Some(glob(column)?)),
            _ => return Err("it has neither two parts nor three".to_owned()),
        };
        Ok(Self { text: text.to_owned(), place, schema, table, column })
    }

    /// The pattern as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it is written, for "matches no table" and the like.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether the pattern is over columns (three parts).
    pub fn over_columns(&self) -> bool {
        self.column.is_some()
    }

    /// Whether the first two parts match.
    pub fn matches_table(&self, schema: &str, table: &str) -> bool {
        self.schema.is_match(nfc(schema)) && self.table.is_match(nfc(table))
    }

    /// Whether all parts match; a pattern of two parts matches every column.
    pub fn matches_column(&self, schema: &str, table: &str, column: &str) -> bool {
        self.matches_table(schema, table) && self.column.as_ref().is_none_or(|glob| glob.is_match(nfc(column)))
    }
}

/// Splits at dots outside quotes; a quoted part has its glob characters escaped.
fn split(text: &str) -> Result<Vec<String>, String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for letter in text.chars() {
        if letter == '"' {
            quoted = !quoted;
        } else if letter == '.' && !quoted {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            if quoted && matches!(letter, '*' | '?' | '[' | ']' | '{' | '}' | '\\' | '!') {
                part.push('\\');
            }
            part.push(letter);
        }
    }
    if quoted {
        return Err("a quote is not closed".to_owned());
    }
    if parts.iter().any(String::is_empty) {
        return Err("a part is empty".to_owned());
    }
    Ok(parts)
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `include` and `exclude` of a source; exclude wins.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Empty: every schema that is not the system's.
    pub include: Vec<Pattern>,
    /// Taken away again.
    pub exclude: Vec<Pattern>,
}

impl Selection {
    /// Whether a table is wanted. A pattern over columns includes its table and never excludes it.
    pub fn takes_table(&self, schema: &str, table: &str) -> bool {
        let included = if self.include.is_empty() {
            !is_system_schema(schema)
        } else {
            self.include.iter().any(|p| p.matches_table(schema, table))
        };
        included && !self.exclude.iter().any(|p| !p.over_columns() && p.matches_table(schema, table))
    }

    /// Whether a column of a wanted table is wanted. When only patterns over columns include the table, exactly
    /// those columns are.
    pub fn takes_column(&self, schema: &str, table: &str, column: &str) -> bool {
        let included = self.include.is_empty() || self.include.iter().any(|p| p.matches_column(schema, table, column));
        included && !self.exclude.iter().any(|p| p.matches_column(schema, table, column))
    }
}

impl Selection {
    /// The patterns of `include` that match none of these tables, given as schema and name.
    pub fn unmatched<'t>(&self, tables: &[(&'t str, &'t str)]) -> Vec<&Pattern> {
        let missed = |pattern: &&Pattern| !tables.iter().any(|(schema, table)| pattern.matches_table(schema, table));
        self.include.iter().filter(missed).collect()
    }
}

/// Schemas that belong to PostgreSQL itself.
pub fn is_system_schema(schema: &str) -> bool {
    schema == "information_schema" || schema.starts_with("pg_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        let place = Place { file: "sources/shop.toml".into(), line: 1, column: 1 };
        texts.iter().map(|t| Pattern::parse(t, place.clone()).unwrap()).collect()
    }

    #[test]
    fn exclude_wins_and_no_include_means_every_schema_of_the_company() {
        let all = Selection { include: vec![], exclude: patterns(&["public.sessions", "public.users.password_*"]) };
        assert!(all.takes_table("public", "users") && all.takes_table("eu", "sessions"));
        assert!(!all.takes_table("public", "sessions") && !all.takes_table("pg_catalog", "pg_class"));
        assert!(all.takes_column("public", "users", "name") && !all.takes_column("public", "users", "password_hash"));
        let both = Selection { include: patterns(&["public.*"]), exclude: patterns(&["*.tmp_*"]) };
        assert!(!both.takes_table("public", "tmp_1") && !both.takes_table("eu", "users"));
    }

    #[test]
    fn a_column_pattern_in_include_takes_only_those_columns() {
        let some = Selection { include: patterns(&["public.users.id", "public.orders"]), exclude: vec![] };
        assert!(some.takes_table("public", "users") && some.takes_column("public", "users", "id"));
        assert!(!some.takes_column("public", "users", "name") && some.takes_column("public", "orders", "total"));
    }

    #[test]
    fn names_match_case_by_case_whatever_their_unicode_form() {
        let hangul = Selection { include: patterns(&["public.주문*", "public.\"a.*\""]), exclude: vec![] };
        let decomposed: String = "주문내역"
            .chars()
            .flat_map(|c| unicode_normalization::UnicodeNormalization::nfd(std::iter::once(c)))
            .collect();
        assert!(hangul.takes_table("public", "주문내역") && hangul.takes_table("public", &decomposed));
        assert!(hangul.takes_table("public", "a.*") && !hangul.takes_table("public", "a.b"));
        assert!(!hangul.takes_table("Public", "주문"));
    }

    #[test]
    fn a_pattern_that_includes_nothing_is_found() {
        let some =
            Selection { include: patterns(&["public.orders", "pubic.*", "public.orders.totl"]), exclude: vec![] };
        let missed: Vec<&str> =
            some.unmatched(&[("public", "orders"), ("eu", "orders")]).into_iter().map(Pattern::text).collect();
        assert_eq!(missed, ["pubic.*"]);
        assert_eq!(some.unmatched(&[]).len(), 3);
    }

    #[test]
    fn broken_patterns_say_why() {
        let place = Place { file: "x".into(), line: 1, column: 1 };
        for text in ["", "users", "a.b.c.d", "public.", ".users", "public.\"users", "public.[a", "public.{a"] {
            assert!(Pattern::parse(text, place.clone()).is_err(), "{text}");
        }
    }
}
