//! `naru topic import`: a schema that exists elsewhere as the file of a topic.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use naru_base::{Problem, failpoint};
use naru_project::{Environment, Project};
use naru_topics::import::{self, Format, Imported};
use serde_json::json;

use super::{Failure, forward::OneForward};
use crate::home;

/// Look after topics.
#[derive(Debug, Subcommand)]
pub enum Topic {
    /// Write topics/NAME.toml from a JSON Schema, an Avro or Protocol Buffers file, or a BigQuery table's schema.
    Import(Import),
    /// Stop a forward until it is resumed, also over restarts; its events wait on the log.
    Pause(OneForward),
    /// Let a forward go on where it stopped, or try again at once.
    Resume(OneForward),
}

/// Write topics/NAME.toml from a schema.
#[derive(Debug, Args)]
pub struct Import {
    /// The topic's name.
    name: String,
    /// The schema: `.json`, `.avsc`, `.proto`, or what `bq show --schema` printed.
    file: PathBuf,
    /// What the file is; default: guessed from its name and text.
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// The record or message that an event is, where the file has several.
    #[arg(long, value_name = "NAME")]
    message: Option<String>,
    /// Replace the topic's file if it is there.
    #[arg(long)]
    force: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    JsonSchema,
    Avro,
    Protobuf,
    Bigquery,
}

impl From<Form> for Format {
    fn from(form: Form) -> Self {
        match form {
            Form::JsonSchema => Self::JsonSchema,
            Form::Avro => Self::Avro,
            Form::Protobuf => Self::Protobuf,
            Form::Bigquery => Self::BigQuery,
        }
    }
}

impl Topic {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        match self {
            Self::Import(import) => import.run(place),
            Self::Pause(forward) => forward.pause(place).await,
            Self::Resume(forward) => forward.resume(place).await,
        }
    }
}

impl Import {
    fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let root = home::find(place)?;
        let imported = import::import(&self.file, self.format.map(Format::from), self.message.as_deref())
            .map_err(|error| Failure::from(error.problem()))?;
        let file = Path::new("topics").join(format!("{}.toml", self.name));
        let source = self.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.write(&root, &file, &imported.to_toml(&source))?;
        self.print(&file, &imported);
        Ok(())
    }

    /// Writes the file, and takes it back when the folder has mistakes in it then.
    fn write(&self, root: &Path, file: &Path, text: &str) -> Result<(), Failure> {
        let path = root.join(file);
        if self.name.contains(['/', '\\']) || self.name.starts_with('.') {
            return Err(Failure::Misused(format!("\"{}\" is no name of a topic", self.name)));
        }
        let before = match fs::read(&path) {
            Ok(before) => Some(before),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if before.is_some() && !self.force {
            let summary = format!("{} is there already", file.display());
            let hint = "choose another name, or replace it with --force: columns that the table has stay in it.";
            return Err(Problem::new("cli.topic_exists", summary).hint(hint).into());
        }
        fs::create_dir_all(root.join("topics"))?;
        // Whoever dies meanwhile leaves the file as it was, or the whole of the new one.
        let partial = path.with_extension("toml.partial");
        fs::write(&partial, text)?;
        failpoint::hit("cli.import_written");
        fs::rename(&partial, &path)?;
        let loaded = Project::load(root, &Environment::of_process());
        let here = |problem: &Problem| problem.place.as_ref().is_some_and(|place| place.file == file);
        let mistakes: Vec<Problem> = loaded.problems.into_iter().filter(here).collect();
        if mistakes.is_empty() {
            return Ok(());
        }
        match before {
            Some(before) => fs::write(&path, before)?,
            None => fs::remove_file(&path)?,
        }
        Err(Failure::Problems(mistakes))
    }

    fn print(&self, file: &Path, imported: &Imported) {
        if self.json {
            let notes: Vec<_> =
                imported.notes.iter().map(|note| json!({"path": note.path, "what": note.what})).collect();
            let value =
                json!({"file": file, "format": imported.format.name(), "columns": imported.columns(), "notes": notes});
            println!("{value:#}");
            return;
        }
        println!("{}", file.display());
        for note in &imported.notes {
            let path = if note.path.is_empty() { "the schema" } else { &note.path };
            eprintln!("note: {path} {}", note.what);
        }
        let columns = imported.columns();
        eprintln!("{columns} columns from {} of {}", self.file.display(), imported.format.name());
        eprintln!("next: look at partition, dedup and retention in the file, then `naru check`");
    }
}
