//! Reading settings out of a tree of values, one mistake at a time and never only the first.
//!
//! Owns: [`Section`] (a table whose keys are taken one by one, the rest being unknown) and [`Reading`] (what all
//! readers of one file share). Never knows a particular setting.
//! Read next: [`crate::settings`], [`crate::source`], [`crate::mart`] for what is read with it.

use std::{collections::HashSet, ops::Range, path::Path, time::Duration};

use naru_base::Place;

use crate::{
    environment::{Environment, expands},
    measure,
    mistake::{Mistake, Report},
    node::{Entry, Node, Value},
    text::SourceText,
};

/// Similarity (0 to 1, Jaro-Winkler) from which an unknown word is taken for a slip of a known one.
const NEAREST_MIN: f64 = 0.75;

/// What all readers of one file share.
pub(crate) struct Reading<'a> {
    pub(crate) text: &'a SourceText,
    pub(crate) root: &'a Path,
    /// Present where `${…}` is expanded: in TOML files, not in SQL.
    pub(crate) environment: Option<&'a Environment>,
    pub(crate) report: &'a mut Report,
}

/// A text setting with its position; `raw` is what messages may quote.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) raw: String,
    pub(crate) span: Range<usize>,
}

impl Reading<'_> {
    pub(crate) fn add(&mut self, span: &Range<usize>, mistake: Mistake) {
        self.report.add(self.text, span, mistake);
    }

    pub(crate) fn place(&self, span: &Range<usize>) -> Place {
        self.text.place(span.start)
    }

    pub(crate) fn wrong_type(&mut self, key: &str, wanted: &str, node: &Node) {
        let mistake = Mistake::WrongType { key: key.to_owned(), wanted: wanted.to_owned(), got: node.value.kind() };
        self.add(&node.span, mistake);
    }

    /// A bad value; `why` is dropped when the value came out of a variable.
    pub(crate) fn bad(&mut self, key: &str, wanted: &str, text: &Text, why: impl Into<Option<String>>) {
        let why = if expands(&text.raw) { None } else { why.into() };
        let mistake = Mistake::BadValue { key: key.to_owned(), wanted: wanted.to_owned(), why, hint: None };
        self.add(&text.span, mistake);
    }

    /// A value that is not a name; its text is quoted only when it stands in the file as it is.
    pub(crate) fn bad_name(&mut self, key: &str, text: &Text, mistake: Mistake) {
        if expands(&text.raw) {
            self.bad(key, "a name that can be used", text, None);
        } else {
            self.add(&text.span, mistake);
        }
    }

    /// Text with variables expanded.
    pub(crate) fn text(&mut self, key: &str, node: &Node) -> Option<Text> {
        let Value::Text(raw) = &node.value else {
            self.wrong_type(key, "text", node);
            return None;
        };
        let value = match self.environment {
            None => Ok(raw.clone()),
            Some(environment) => environment.expand(self.root, key, raw),
        };
        match value {
            Ok(value) => Some(Text { value, raw: raw.clone(), span: node.span.clone() }),
            Err(mistake) => {
                self.add(&node.span, mistake);
                None
            }
        }
    }

    /// A list of texts; a single text counts as a list of one when `single` says so.
    pub(crate) fn texts(&mut self, key: &str, node: &Node, single: bool) -> Vec<Text> {
        match &node.value {
            Value::List(items) => items.iter().filter_map(|item| self.text(key, item)).collect(),
            Value::Text(_) if single => self.text(key, node).into_iter().collect(),
            _ => {
                self.wrong_type(key, if single { "text or a list of texts" } else { "a list of texts" }, node);
                Vec::new()
            }
        }
    }

    /// A whole number within bounds.
    pub(crate) fn integer(&mut self, key: &str, node: &Node, bounds: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let Value::Integer(digits) = &node.value else {
            self.wrong_type(key, "a whole number", node);
            return None;
        };
        match digits.parse::<u64>() {
            Ok(number) if bounds.contains(&number) => Some(number),
            _ => {
                let wanted = format!("a number from {} to {}", bounds.start(), bounds.end());
                let mistake = Mistake::BadValue { key: key.to_owned(), wanted, why: None, hint: None };
                self.add(&node.span, mistake);
                None
            }
        }
    }
}

/// A table of settings; what was never asked for is unknown.
pub(crate) struct Section<'n> {
    /// How messages call it, for example `[lake]`.
    pub(crate) name: String,
    pub(crate) span: Range<usize>,
    entries: &'n [Entry],
    known: Vec<&'static str>,
}

impl<'n> Section<'n> {
    /// Opens a table; anything else is a mistake and gives `None`.
    pub(crate) fn open(reading: &mut Reading<'_>, key: &str, name: impl Into<String>, node: &'n Node) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            reading.wrong_type(key, "a table", node);
            return None;
        };
        let section = Self { name: name.into(), span: node.span.clone(), entries, known: Vec::new() };
        section.report_repeats(reading);
        Some(section)
    }

    fn report_repeats(&self, reading: &mut Reading<'_>) {
        let mut seen = HashSet::new();
        for entry in self.entries {
            if !seen.insert(entry.key.as_str()) {
                let mistake = Mistake::DuplicateKey { key: entry.key.clone(), section: self.name.clone() };
                reading.add(&entry.key_span, mistake);
            }
        }
    }

    /// Every entry, for tables whose keys are names; counts them all as known.
    pub(crate) fn all(self) -> &'n [Entry] {
        self.entries
    }

    /// The entry of a key, which is known from now on.
    pub(crate) fn entry(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.known.push(key);
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value of a key.
    pub(crate) fn node(&mut self, key: &'static str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The value of a key, whose absence is a mistake.
    pub(crate) fn required(&mut self, reading: &mut Reading<'_>, key: &'static str, example: &str) -> Option<&'n Node> {
        let node = self.node(key);
        if node.is_none() {
            let section = self.name.clone();
            let mistake = Mistake::MissingKey { key: key.to_owned(), section, example: example.to_owned() };
            reading.add(&self.span, mistake);
        }
        node
    }

    /// A table inside this one.
    pub(crate) fn section(&mut self, reading: &mut Reading<'_>, key: &'static str, name: &str) -> Option<Section<'n>> {
        let node = self.node(key)?;
        Section::open(reading, key, name, node)
    }

    /// Text with variables expanded.
    pub(crate) fn text(&mut self, reading: &mut Reading<'_>, key: &'static str) -> Option<Text> {
        let node = self.node(key)?;
        reading.text(key, node)
    }

    /// A list of texts, or one text where `single` allows it.
    pub(crate) fn texts(&mut self, reading: &mut Reading<'_>, key: &'static str, single: bool) -> Vec<Text> {
        self.node(key).map(|node| reading.texts(key, node, single)).unwrap_or_default()
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, reading: &mut Reading<'_>, key: &'static str) -> Option<bool> {
        let node = self.node(key)?;
        let Value::Boolean(value) = node.value else {
            reading.wrong_type(key, "true or false", node);
            return None;
        };
        Some(value)
    }

    /// A whole number within bounds.
    pub(crate) fn integer(
        &mut self,
        reading: &mut Reading<'_>,
        key: &'static str,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let node = self.node(key)?;
        reading.integer(key, node, bounds)
    }

    /// Text that a function understands; `wanted` completes "… is not".
    pub(crate) fn parsed<T>(
        &mut self,
        reading: &mut Reading<'_>,
        key: &'static str,
        wanted: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.node(key)?;
        if !matches!(node.value, Value::Text(_)) {
            reading.wrong_type(key, wanted, node);
            return None;
        }
        let text = reading.text(key, node)?;
        match parse(&text.value) {
            Ok(value) => Some(value),
            Err(why) => {
                reading.bad(key, wanted, &text, why);
                None
            }
        }
    }

    /// A duration of at least `least`.
    pub(crate) fn duration(
        &mut self,
        reading: &mut Reading<'_>,
        key: &'static str,
        least: Duration,
    ) -> Option<Duration> {
        self.parsed(reading, key, "a duration such as 5s, 90m, 24h or 2d", |text| {
            let duration = measure::duration(text)?;
            if duration < least { Err(format!("the shortest is {} ms", least.as_millis())) } else { Ok(duration) }
        })
    }

    /// A size in bytes of at least `least`.
    pub(crate) fn bytes(&mut self, reading: &mut Reading<'_>, key: &'static str, least: u64) -> Option<u64> {
        self.parsed(reading, key, "a size such as 64MB or 2GiB", |text| {
            let bytes = measure::bytes(text)?;
            if bytes < least { Err(format!("the smallest is {least} bytes")) } else { Ok(bytes) }
        })
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        reading: &mut Reading<'_>,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.text(reading, key)?;
        let found = words.iter().find(|(word, _)| *word == text.value).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let quoted: Vec<String> = known.iter().map(|word| format!("\"{word}\"")).collect();
            let hint = nearest(&text.raw, known).map(|word| format!("Did you mean \"{word}\"?"));
            let wanted = format!("one of {}", quoted.join(", "));
            reading.add(&text.span, Mistake::BadValue { key: key.to_owned(), wanted, why: None, hint });
        }
        found
    }

    /// Reports every key that nothing asked for.
    pub(crate) fn finish(self, reading: &mut Reading<'_>) {
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            let mistake = Mistake::UnknownKey {
                key: entry.key.clone(),
                section: self.name.clone(),
                nearest: nearest(&entry.key, self.known.iter().copied()),
                known: self.known.iter().map(|key| (*key).to_owned()).collect(),
            };
            reading.add(&entry.key_span, mistake);
        }
    }
}

/// The known word most like an unknown one, when it is like enough.
pub(crate) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<String> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity >= NEAREST_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}
