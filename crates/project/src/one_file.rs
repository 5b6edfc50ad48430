//! Reading the text of one file, without a folder around it.
//!
//! Owns: [`problems_in`], for fuzzing and for editors, and [`read_source`], for a file that is not there yet. Never touches the file system, except for the secret files
//! that a setting names.
//! Read next: [`crate::load`] for whole folders.

use std::path::Path;

use naru_base::Problem;

use crate::{
    access_file::{self, ACCESS_FILE},
    environment::Environment,
    mart,
    mistake::Report,
    section::Reading,
    settings::{self, SETTINGS_FILE},
    source::{self, Source},
    text::SourceText,
    toml_text, topic,
    zone::Zone,
};

/// What a text is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `naru.toml`.
    Settings,
    /// A file of `sources/`.
    Source,
    /// A file of `topics/`.
    Topic,
    /// `access.toml`.
    Access,
    /// A file of `marts/`.
    Mart,
    /// A file of `checks/`.
    Check,
    /// A file of `functions/`.
    Function,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Settings, Self::Source, Self::Topic, Self::Access, Self::Mart, Self::Check, Self::Function];

    /// A path such a file could have.
    fn path(self) -> &'static str {
        match self {
            Self::Settings => SETTINGS_FILE,
            Self::Source => "sources/source.toml",
            Self::Topic => "topics/topic.toml",
            Self::Access => ACCESS_FILE,
            Self::Mart => "marts/dataset/mart.sql",
            Self::Check => "checks/check.sql",
            Self::Function => "functions/function.sql",
        }
    }
}

/// Everything wrong with one text. Never panics, whatever the text is.
pub fn problems_in(kind: FileKind, text: &str, environment: &Environment) -> Vec<Problem> {
    let text = SourceText::new(kind.path(), text);
    let mut report = Report::default();
    match kind {
        FileKind::Settings | FileKind::Source | FileKind::Topic | FileKind::Access => {
            read_toml(kind, &text, environment, &mut report);
        }
        FileKind::Mart => drop(mart::read(text, Path::new("dataset/mart.sql"), &Zone::utc(), &[], &mut report)),
        FileKind::Check => drop(mart::read_check(text, &mut report)),
        FileKind::Function => drop(mart::read_function(text, &mut report)),
    }
    report.problems
}

/// Reads the text of a file of `sources/` that is not written yet, as the folder `root` would read it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_source(root: &Path, name: &str, text: &str, environment: &Environment) -> Result<Source, Vec<Problem>> {
    let text = SourceText::new(Path::new("sources").join(format!("{name}.toml")), text);
    let mut report = Report::default();
    let node = toml_text::parse(&text, &mut report);
    let mut reading = Reading { text: &text, root, environment: Some(environment), report: &mut report };
    let read = source::read(&mut reading, &node, name.to_owned());
    match read {
        Some(source) if report.problems.is_empty() => Ok(source),
        Some(_) | None => Err(report.problems),
    }
}

fn read_toml(kind: FileKind, text: &SourceText, environment: &Environment, report: &mut Report) {
    let node = toml_text::parse(text, report);
    let mut reading = Reading { text, root: Path::new(""), environment: Some(environment), report };
    match kind {
        FileKind::Settings => drop(settings::read(&mut reading, &node)),
        FileKind::Source => drop(source::read(&mut reading, &node, "source".to_owned())),
        FileKind::Topic => drop(topic::read(&mut reading, &node, "topic".to_owned())),
        FileKind::Access | FileKind::Mart | FileKind::Check | FileKind::Function => {
            let _ = access_file::read(&mut reading, &node);
        }
    }
}
