//! Text of one file of the project folder, and where its bytes stand in it.
//!
//! Owns: [`SourceText`] (offset to line and column) and [`SqlFile`] (a leading option comment and the SQL below it).
//! Never understands SQL, TOML or YAML.
//! Read next: [`crate::mart`] for what stands in the comment.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use naru_base::Place;

/// The text of one file with the starts of its lines. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    file: Arc<Path>,
    text: Arc<str>,
    line_starts: Arc<[usize]>,
}

impl SourceText {
    /// Takes a text; `file` is relative to the project folder. A byte order mark at the start is dropped.
    pub fn new(file: impl Into<PathBuf>, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: file.into().into(), text: text.into(), line_starts }
    }

    /// The file, relative to the project folder.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place of a byte offset; an offset beyond the end is the end, one inside a character is that character.
    pub fn place(&self, offset: usize) -> Place {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|i| self.line_starts.get(i)).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        Place { file: self.file.to_path_buf(), line, column }
    }

    /// The byte offset of a line and column (both from 1), as [`SourceText::place`] gives them.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let Some(start) = line.checked_sub(1).and_then(|i| self.line_starts.get(i)).copied() else {
            return if line == 0 { 0 } else { self.text.len() };
        };
        let rest = self.text.get(start..).unwrap_or_default();
        rest.char_indices().nth(column.saturating_sub(1)).map_or(self.text.len(), |(at, _)| start + at)
    }
}

/// A file of SQL with an optional leading `/* naru … */` comment of options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlFile {
    /// The whole file.
    pub source: SourceText,
    options: Option<Range<usize>>,
    body_start: usize,
}

/// What the leading comment of an SQL file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommentEnd {
    /// There is none, or it is closed.
    Sound,
    /// `/* naru` without `*/`; the offset of the comment.
    Missing(usize),
}

impl SqlFile {
    /// Splits a file; an unclosed comment counts as options up to the end of the file.
    pub(crate) fn split(source: SourceText) -> (Self, CommentEnd) {
        let text = source.text();
        let opening = text.len() - text.trim_start().len();
        let Some(inside) = option_comment(text.get(opening..).unwrap_or_default()).map(|skip| opening + skip) else {
            return (Self { body_start: 0, options: None, source }, CommentEnd::Sound);
        };
        let (end, body_start, sound) = match text.get(inside..).and_then(|rest| rest.find("*/")) {
            Some(length) => (inside + length, inside + length + 2, CommentEnd::Sound),
            None => (text.len(), text.len(), CommentEnd::Missing(opening)),
        };
        (Self { options: Some(inside..end), body_start, source }, sound)
    }

    /// The YAML inside the leading comment, and its byte offset in the file.
    pub(crate) fn options(&self) -> Option<(&str, usize)> {
        let range = self.options.clone()?;
        let start = range.start;
        self.source.text().get(range).map(|yaml| (yaml, start))
    }

    /// The SQL below the comment, to the end of the file.
    pub fn body(&self) -> &str {
        self.source.text().get(self.body_start..).unwrap_or_default()
    }

    /// The place in the file of a byte offset in [`SqlFile::body`].
    pub fn body_place(&self, offset: usize) -> Place {
        self.source.place(self.body_start.saturating_add(offset))
    }

    /// The place in the file of a line and column (both from 1) in [`SqlFile::body`], as SQL parsers report them.
    pub fn body_place_at(&self, line: usize, column: usize) -> Place {
        let start = self.source.place(self.body_start);
        match line {
            0 | 1 => Place { column: start.column + column.saturating_sub(1), ..start },
            _ => Place { line: start.line + line - 1, column: column.max(1), ..start },
        }
    }
}

/// Length of `/* naru` including what stands before the options, when `text` begins with it.
fn option_comment(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("/*")?;
    let word = inner.trim_start().strip_prefix("naru")?;
    let ends = word.is_empty() || word.starts_with("*/") || word.starts_with(char::is_whitespace);
    ends.then(|| text.len() - word.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_offsets_find_their_way_back() {
        let text = SourceText::new("a.toml", "\u{feff}매출 = 1\nb = '가'\n");
        for (offset, _) in text.text().char_indices() {
            let place = text.place(offset);
            assert_eq!(text.offset(place.line, place.column), offset);
        }
        assert_eq!((text.place(7).line, text.place(7).column), (1, 4));
        assert_eq!((text.place(9_999).line, text.place(9_999).column), (3, 1));
    }

    #[test]
    fn the_option_comment_must_lead_and_the_rest_is_the_body() {
        let split = |text: &str| SqlFile::split(SourceText::new("m.sql", text));
        let (file, end) = split("\n/* naru\nkind: view */\nSELECT 1");
        assert_eq!((file.body(), end), ("\nSELECT 1", CommentEnd::Sound));
        assert_eq!(file.options().map(|(yaml, at)| (yaml.trim(), at)), Some(("kind: view", 8)));
        assert_eq!((file.body_place(1).line, file.body_place(1).column), (4, 1));
        assert_eq!(file.body_place_at(2, 3), Place { file: "m.sql".into(), line: 4, column: 3 });
        assert_eq!(split("SELECT 1 /* naru kind: view */").0.options(), None);
        assert_eq!(split("/* narufoo */ SELECT 1").0.options(), None);
        assert_eq!(split(" /* naru\nkind: view").1, CommentEnd::Missing(1));
    }
}
