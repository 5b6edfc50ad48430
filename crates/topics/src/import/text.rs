//! The text of a topic's file.
//!
//! Owns: how columns, settings and notes are written. Every note stands as a comment above its column, so that whoever
//! reads the file later still sees what it does not say.

use std::fmt::Write as _;

use super::{Column, Imported, Note};

/// Descriptions and values come from outside; a comment line holds no more than this of one.
const COMMENT_CHARACTERS_MAX: usize = 300;

pub(super) fn write(imported: &Imported, source: &str) -> String {
    let mut text = String::new();
    let head = format!("Imported from {source} ({}).", imported.format.name());
    comment(&mut text, &head);
    if !imported.notes.is_empty() {
        comment(&mut text, "A line that begins with # says what this file does not.");
    }
    let of = |column: &Column, note: &Note| {
        note.path.strip_prefix(column.name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    for note in imported.notes.iter().filter(|note| !imported.columns.iter().any(|column| of(column, note))) {
        self::note(&mut text, note);
    }
    text.push('\n');
    for line in &imported.settings {
        let _ = writeln!(text, "{line}");
    }
    if !imported.settings.is_empty() {
        text.push('\n');
    }
    text.push_str("[columns]\n");
    for column in &imported.columns {
        for note in imported.notes.iter().filter(|note| of(column, note)) {
            self::note(&mut text, note);
        }
        let _ = writeln!(text, "{} = {}", key(&column.name), value(column));
    }
    text
}

fn value(column: &Column) -> String {
    let kind = quoted(&column.kind.to_string());
    if !column.required && column.description.is_none() {
        return kind;
    }
    let required = if column.required { ", required = true" } else { "" };
    let description = column.description.as_ref().map(|text| format!(", description = {}", quoted(text)));
    format!("{{ type = {kind}{required}{} }}", description.unwrap_or_default())
}

fn note(text: &mut String, note: &Note) {
    let path = if note.path.is_empty() { "the schema" } else { &note.path };
    comment(text, &format!("{path} {}", note.what));
}

fn comment(text: &mut String, line: &str) {
    let line: String = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown: String = line.chars().filter(|letter| !letter.is_control()).take(COMMENT_CHARACTERS_MAX).collect();
    if shown.chars().count() < line.chars().count() {
        shown.push('…');
    }
    let _ = writeln!(text, "# {shown}");
}

/// A key of TOML, bare where it can be.
pub(super) fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if bare { name.to_owned() } else { quoted(name) }
}

/// A basic string of TOML. `${` would be read as a variable of the environment.
pub(super) fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for letter in value.replace("${", "$${").chars() {
        match letter {
            '"' | '\\' => {
                text.push('\\');
                text.push(letter);
            }
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(text, "\\u{:04X}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
    text
}
