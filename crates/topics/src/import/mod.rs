//! Schemas that exist elsewhere, as the text of a topic's file.
//!
//! Owns: which formats are read ([`Format`]), the columns they become, and a note for everything that a topic's file
//! cannot say: nothing is left out silently. Never writes a file, never reads an event.
//! Read next: one file per format, then [`text`].

mod avro;
mod bigquery;
mod json_schema;
mod protobuf;
mod text;
mod types;

use std::path::{Path, PathBuf};

use naru_base::Problem;
use serde_json::Value;

use types::Type;

/// Descriptions of data that can become a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON Schema, any draft.
    JsonSchema,
    /// An Avro schema in JSON (`.avsc`).
    Avro,
    /// Protocol Buffers source (`.proto`).
    Protobuf,
    /// A BigQuery table's schema in JSON, as `bq show --schema` prints it, or the whole table's description.
    BigQuery,
}

impl Format {
    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonSchema => "JSON Schema",
            Self::Avro => "Avro",
            Self::Protobuf => "Protocol Buffers",
            Self::BigQuery => "BigQuery",
        }
    }

    /// What a file most likely is, by its name and its text.
    pub fn guess(file: &Path, text: &str) -> Option<Self> {
        match file.extension().and_then(|end| end.to_str()) {
            Some("proto") => return Some(Self::Protobuf),
            Some("avsc") => return Some(Self::Avro),
            _ => {}
        }
        let value: Value = serde_json::from_str(text).ok()?;
        let has = |key: &str| value.get(key).is_some();
        let fields = |list: &Value| list.as_array().is_some_and(|list| list.iter().all(|one| one["name"].is_string()));
        if has("$schema") || has("properties") || has("$ref") || has("allOf") {
            Some(Self::JsonSchema)
        } else if value["type"] == "record" {
            Some(Self::Avro)
        } else if fields(&value) || fields(&value["fields"]) || has("schema") {
            // Avro's lists of records have names as well, and fields of their own.
            let avro = value.as_array().is_some_and(|list| list.iter().any(|one| one["type"] == "record"));
            let nested = value[0]["mode"].is_string() || value[0]["namespace"].is_null();
            Some(if avro && !nested { Self::Avro } else { Self::BigQuery })
        } else {
            None
        }
    }
}

/// What a schema says, as far as a topic's file can say it.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Of what kind it was.
    pub format: Format,
    columns: Vec<Column>,
    /// Lines of the file before its columns, such as `unknown = "reject"`.
    settings: Vec<String>,
    /// What it cannot say, in the order of the schema.
    pub notes: Vec<Note>,
}

/// One thing of a schema that a topic's file does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The field, `order.items.sku`; empty for the whole schema.
    pub path: String,
    /// What is lost, or how it was written instead.
    pub what: String,
}

#[derive(Debug, Clone, PartialEq)]
struct Column {
    name: String,
    kind: Type,
    required: bool,
    description: Option<String>,
}

impl Imported {
    /// The text of `topics/NAME.toml`. `source` is the name of the file that was read.
    pub fn to_toml(&self, source: &str) -> String {
        text::write(self, source)
    }

    /// How many columns there are.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }
}

/// A schema that cannot become a topic.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be read.
    #[error("{file} cannot be read")]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nothing says what the file is.
    #[error("{file} is of no known format")]
    UnknownFormat {
        /// Which file.
        file: PathBuf,
    },
    /// The text is not of the format.
    #[error("{file} is no {} schema: {reason}", .format.name())]
    Malformed {
        /// Which file.
        file: PathBuf,
        /// What it should have been.
        format: Format,
        /// Why it is not.
        reason: String,
    },
    /// Several records or messages could be the row.
    #[error("{file} describes several records: {}", .names.join(", "))]
    Several {
        /// Which file.
        file: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// The record that was asked for is not there.
    #[error("{file} has no record {message}; it has {}", .names.join(", "))]
    Lacks {
        /// Which file.
        file: PathBuf,
        /// The name that was asked for.
        message: String,
        /// Those that it has.
        names: Vec<String>,
    },
    /// There is nothing that could be a column.
    #[error("{file} describes no fields")]
    Empty {
        /// Which file.
        file: PathBuf,
    },
}

impl ImportError {
    /// What a person is told.
    pub fn problem(&self) -> Problem {
        let problem = |code, hint: &str| Problem::new(code, self.to_string()).hint(hint);
        match self {
            Self::Read { source, .. } => Problem::from_error("topics.import_read", self.to_string(), source),
            Self::UnknownFormat { .. } => {
                problem("topics.import_format", "say which with --format json-schema, avro, protobuf or bigquery.")
            }
            Self::Malformed { .. } => problem("topics.import_malformed", "mend the file, or say another --format."),
            Self::Several { .. } | Self::Lacks { .. } => {
                problem("topics.import_message", "say which one an event is with --message NAME.")
            }
            Self::Empty { .. } => {
                problem("topics.import_empty", "the top of the schema must be an object with named fields.")
            }
        }
    }
}

/// Reads a schema file. `format` is guessed where it is not given; `message` names the record or message that an event
/// is, where the file has several. Files that a `.proto` imports are looked for beside it.
///
/// # Errors
/// [`ImportError`], when there is no schema of a row.
pub fn import(file: &Path, format: Option<Format>, message: Option<&str>) -> Result<Imported, ImportError> {
    let read = |source| ImportError::Read { file: file.to_owned(), source };
    let text = std::fs::read_to_string(file).map_err(read)?;
    let format = format.or_else(|| Format::guess(file, &text));
    let format = format.ok_or_else(|| ImportError::UnknownFormat { file: file.to_owned() })?;
    let malformed = |reason: String| ImportError::Malformed { file: file.to_owned(), format, reason };
    let mut gathering = Gathering::new(format);
    match format {
        Format::Protobuf => protobuf::read(file, message, &mut gathering)?,
        Format::JsonSchema | Format::Avro | Format::BigQuery => {
            let value: Value = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
            match format {
                Format::Avro => avro::read(file, &value, message, &mut gathering)?,
                Format::BigQuery => bigquery::read(&value, &mut gathering).map_err(malformed)?,
                Format::JsonSchema | Format::Protobuf => {
                    json_schema::read(&value, &mut gathering).map_err(malformed)?;
                }
            }
        }
    }
    gathering.finish().ok_or_else(|| ImportError::Empty { file: file.to_owned() })
}

/// What is gathered while a schema is read.
#[derive(Debug)]
struct Gathering {
    imported: Imported,
    /// Names of the fields from the top down to the present one.
    path: Vec<String>,
}

/// One field of a record, before it is known whether the record is the row or a STRUCT.
#[derive(Debug)]
struct Member {
    name: String,
    kind: Type,
    required: bool,
    description: Option<String>,
}

impl Gathering {
    fn new(format: Format) -> Self {
        let imported = Imported { format, columns: Vec::new(), settings: Vec::new(), notes: Vec::new() };
        Self { imported, path: Vec::new() }
    }

    /// Notes something of the present field.
    fn note(&mut self, what: impl Into<String>) {
        self.imported.notes.push(Note { path: self.path.join("."), what: what.into() });
    }

    fn setting(&mut self, line: impl Into<String>) {
        self.imported.settings.push(line.into());
    }

    /// Does something below a field.
    fn within<T>(&mut self, name: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(name.to_owned());
        let done = work(self);
        self.path.pop();
        done
    }

    /// JSON instead of a type that SQL does not have, and why.
    fn json(&mut self, why: impl Into<String>) -> Type {
        self.note(format!("is JSON: {}", why.into()));
        types::JSON
    }

    /// ARRAY of something; SQL has no ARRAY of ARRAY.
    fn array(&mut self, item: Type) -> Type {
        match item {
            Type::Array(_) => self.json("an array of arrays is no SQL type"),
            item => Type::Array(Box::new(item)),
        }
    }

    /// STRUCT of members, whose requirements and descriptions have no place in it.
    fn structure(&mut self, members: Vec<Member>) -> Type {
        if let Some(why) = types::no_struct(members.iter().map(|member| member.name.as_str())) {
            return self.json(why);
        }
        if self.path.len() > types::DEPTH_MAX {
            return self.json("it lies too deep");
        }
        let mut fields = Vec::new();
        for Member { name, kind, required, description } in members {
            self.within(&name, |this| {
                if required {
                    this.note("is not checked to be there: only columns can be required");
                }
                if let Some(description) = description {
                    this.note(format!("has a description that only columns can have: {description}"));
                }
            });
            fields.push((name, kind));
        }
        Type::Struct(fields)
    }

    /// The members of the row itself.
    fn row(&mut self, members: Vec<Member>) {
        for Member { name, kind, required, description } in members {
            let taken = self.imported.columns.iter().any(|column| types::same(&column.name, &name));
            let why =
                if taken { Some("another field has the same name but for its case") } else { types::no_column(&name) };
            match why {
                Some(why) => self.within(&name, |this| this.note(format!("is no column ({kind}): {why}"))),
                None => self.imported.columns.push(Column { name, kind, required, description }),
            }
        }
    }

    fn finish(self) -> Option<Imported> {
        (!self.imported.columns.is_empty()).then_some(self.imported)
    }
}

#[cfg(test)]
mod tests;
