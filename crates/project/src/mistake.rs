//! Everything that can be wrong in a project folder, and the words for it.
//!
//! Owns: [`Mistake`] and its one translation into [`Problem`]; [`Report`], which gathers them all.
//! Never quotes a value that came out of a variable or a secret file.
//! Read next: [`crate::load`] for the order in which files are read.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use naru_base::{Place, Problem};

use crate::text::SourceText;

/// One mistake in the project folder. Codes begin with `project.`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// No `naru.toml` here or above.
    #[error("no naru.toml in {} or a folder above it", start.display())]
    NoProject {
        /// Where the search began.
        start: PathBuf,
    },
    /// `naru init` on a folder with something in it.
    #[error("the folder {} is not empty", folder.display())]
    FolderNotEmpty {
        /// The folder.
        folder: PathBuf,
        /// One thing found in it.
        found: String,
    },
    /// A file or folder that cannot be read or written.
    #[error("cannot {what} {}", file.display())]
    Unreachable {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// The operating system's reason.
        why: String,
    },
    /// Text that is not TOML or YAML.
    #[error("this is not valid {format}")]
    Syntax {
        /// `TOML` or `YAML`.
        format: &'static str,
        /// The parser's words.
        why: String,
        /// What to do, when it can be guessed.
        hint: Option<String>,
    },
    /// A key that no setting has.
    #[error("unknown key \"{key}\" in {section}")]
    UnknownKey {
        /// The key as written.
        key: String,
        /// `[lake]`, `this mart's options`, …
        section: String,
        /// The nearest key that exists.
        nearest: Option<String>,
        /// All keys that exist here.
        known: Vec<String>,
    },
    /// The same key twice.
    #[error("key \"{key}\" is set twice in {section}")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where.
        section: String,
    },
    /// A key that must be there.
    #[error("{section} has no \"{key}\"")]
    MissingKey {
        /// The key.
        key: String,
        /// Where.
        section: String,
        /// An example line.
        example: String,
    },
    /// A value of the wrong kind.
    #[error("\"{key}\" must be {wanted}, not {got}")]
    WrongType {
        /// The key.
        key: String,
        /// What it takes.
        wanted: String,
        /// What stands there.
        got: &'static str,
    },
    /// A value of the right kind that means nothing.
    #[error("\"{key}\" is not {wanted}")]
    BadValue {
        /// The key.
        key: String,
        /// What it takes.
        wanted: String,
        /// Why this is not one; never an expanded value.
        why: Option<String>,
        /// What to write.
        hint: Option<String>,
    },
    /// `${NAME}` without such a variable.
    #[error("environment variable {name} is not set")]
    MissingVariable {
        /// The variable.
        name: String,
    },
    /// `${file:/path}` that cannot be read.
    #[error("secret file {path} cannot be read")]
    MissingSecretFile {
        /// The path as written.
        path: String,
        /// The operating system's reason.
        why: String,
    },
    /// `${` without its end, or with nothing inside.
    #[error("\"{key}\" has an unfinished ${{…}}")]
    BadVariable {
        /// The key.
        key: String,
    },
    /// A password written into the file.
    #[error("\"{key}\" has a password in it")]
    SecretInFile {
        /// The key.
        key: String,
    },
    /// Something the design has and this version has not.
    #[error("not built yet: {what}")]
    NotBuilt {
        /// What was asked for.
        what: String,
        /// Which issue brings it, or what can be written instead.
        instead: String,
    },
    /// Two things with one name.
    #[error("two things are named {name}: {} and {}", this.display(), other.display())]
    Collision {
        /// The name both have.
        name: String,
        /// The file the problem is placed at.
        this: PathBuf,
        /// The other side.
        other: PathBuf,
    },
    /// Two topics that take the events of one protocol.
    #[error("topics \"{other}\" and \"{this}\" both take events from {protocol}")]
    RivalTopics {
        /// The word in `from`.
        protocol: &'static str,
        /// The topic whose file the problem is placed at.
        this: String,
        /// The other topic.
        other: String,
    },
    /// A listener that other machines reach, without encryption.
    #[error("\"{key}\" would be open to other machines without TLS")]
    BeyondLoopback {
        /// The listener.
        key: String,
    },
    /// A listener that other machines reach, without sign-in.
    #[error("\"{key}\" would be open to other machines without sign-in")]
    NoSignIn {
        /// The listener.
        key: String,
    },
    /// A public address of another scheme than the listener's.
    #[error("{}", if *tls { "\"url\" is not https, but the HTTP listener is" } else { "\"url\" is https, but nothing here ends TLS" })]
    SchemeOfUrl {
        /// Whether TLS ends at the listener, or at a declared proxy.
        tls: bool,
    },
    /// A dataset that belongs to naru.
    #[error("dataset \"{dataset}\" is reserved")]
    ReservedDataset {
        /// The dataset.
        dataset: String,
    },
    /// A file or folder name that cannot be a table or dataset.
    #[error("\"{name}\" cannot be the name of a {what}")]
    BadName {
        /// The name.
        name: String,
        /// `table`, `dataset`, `source`, …
        what: &'static str,
    },
    /// `marts/x.sql`.
    #[error("mart \"{name}\" is in no dataset")]
    MartWithoutDataset {
        /// The file's name without `.sql`.
        name: String,
    },
    /// A mart, check or function file without SQL.
    #[error("this {what} has no SQL")]
    NoSql {
        /// `mart`, `check` or `function`.
        what: &'static str,
    },
    /// A check that names a file which is not there.
    #[error("there is no file {}", file.display())]
    NoSuchFile {
        /// The file, relative to the project folder.
        file: PathBuf,
        /// The nearest file that exists.
        nearest: Option<String>,
    },
    /// A file that nothing reads (a note).
    #[error("{} is not read", file.display())]
    IgnoredFile {
        /// The file or folder.
        file: PathBuf,
        /// What would be read.
        hint: String,
    },
    /// A dataset in `access.toml` that nothing makes (a note).
    #[error("nothing in this folder makes a dataset \"{name}\"")]
    UnknownDataset {
        /// The dataset.
        name: String,
        /// One that is made.
        nearest: Option<String>,
    },
}

impl Mistake {
    /// The mistake as every surface prints it.
    pub fn problem(&self) -> Problem {
        let problem = Problem::new(self.code(), self.to_string());
        let problem = match self.detail() {
            Some(detail) => problem.detail(detail),
            None => problem,
        };
        match self.hint() {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoProject { .. } => "project.not_found",
            Self::FolderNotEmpty { .. } => "project.folder_not_empty",
            Self::Unreachable { .. } => "project.unreachable_file",
            Self::Syntax { .. } => "project.syntax",
            Self::UnknownKey { .. } => "project.unknown_key",
            Self::DuplicateKey { .. } => "project.duplicate_key",
            Self::MissingKey { .. } => "project.missing_key",
            Self::WrongType { .. } => "project.wrong_type",
            Self::BadValue { .. } => "project.bad_value",
            Self::MissingVariable { .. } => "project.missing_variable",
            Self::MissingSecretFile { .. } => "project.missing_secret_file",
            Self::BadVariable { .. } => "project.bad_variable",
            Self::SecretInFile { .. } => "project.secret_in_file",
            Self::NotBuilt { .. } => "project.not_built",
            Self::Collision { .. } => "project.collision",
            Self::RivalTopics { .. } => "project.rival_topics",
            Self::BeyondLoopback { .. } => "project.beyond_loopback",
            Self::ReservedDataset { .. } => "project.reserved_dataset",
            Self::BadName { .. } => "project.bad_name",
            Self::MartWithoutDataset { .. } => "project.mart_without_dataset",
            Self::NoSql { .. } => "project.no_sql",
            Self::NoSignIn { .. } => "project.no_sign_in",
            Self::SchemeOfUrl { .. } => "project.scheme_of_url",
            Self::NoSuchFile { .. } => "project.no_such_file",
            Self::IgnoredFile { .. } => "project.ignored_file",
            Self::UnknownDataset { .. } => "project.unknown_dataset",
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::FolderNotEmpty { found, .. } => Some(format!("It has \"{found}\" in it.")),
            Self::Unreachable { why, .. } | Self::Syntax { why, .. } | Self::MissingSecretFile { why, .. } => {
                Some(sentence(why))
            }
            Self::BadValue { why, .. } => why.as_deref().map(sentence),
            Self::RivalTopics { .. } => {
                Some("Its senders name no topic, and without a key nothing says which of the two is meant.".to_owned())
            }
            Self::BeyondLoopback { .. } => Some("Keys and events would be readable on the way.".to_owned()),
            Self::SecretInFile { .. } => Some("Files of the project folder are shared and kept in git.".to_owned()),
            Self::NoProject { .. }
            | Self::UnknownKey { .. }
            | Self::DuplicateKey { .. }
            | Self::MissingKey { .. }
            | Self::WrongType { .. }
            | Self::MissingVariable { .. }
            | Self::BadVariable { .. }
            | Self::NotBuilt { .. }
            | Self::Collision { .. }
            | Self::ReservedDataset { .. }
            | Self::BadName { .. }
            | Self::MartWithoutDataset { .. }
            | Self::NoSql { .. }
            | Self::NoSuchFile { .. }
            | Self::IgnoredFile { .. } => None,
            Self::NoSignIn { .. } => {
                Some("Beyond this machine people sign in, and the traffic is encrypted.".to_owned())
            }
            Self::SchemeOfUrl { .. } => {
                Some("It is what browsers open, and where the issuer sends them back to.".to_owned())
            }
            Self::UnknownDataset { .. } => Some("The grant holds as soon as there is one.".to_owned()),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoProject { .. } => "Run `naru init` to make a project folder.".to_owned(),
            Self::FolderNotEmpty { .. } => "Name a new folder: `naru init DIR`.".to_owned(),
            Self::Unreachable { .. } | Self::WrongType { .. } => return None,
            Self::Syntax { hint, .. } | Self::BadValue { hint, .. } => return hint.clone(),
            Self::UnknownKey { nearest: Some(nearest), .. } => format!("Did you mean \"{nearest}\"?"),
            Self::UnknownKey { known, .. } if known.is_empty() => return None,
            Self::UnknownKey { known, .. } => format!("Known here: {}.", known.join(", ")),
            Self::DuplicateKey { .. } => "Keep one of the two.".to_owned(),
            Self::MissingKey { example, .. } => format!("Write `{example}`."),
            Self::MissingVariable { name } => {
                format!("Set it before starting naru, for example `export {name}=…`, or use ${{file:/path}}.")
            }
            Self::MissingSecretFile { .. } => "The file must be readable by the user that runs naru.".to_owned(),
            Self::BadVariable { .. } => "Write ${NAME} or ${file:/path}; a literal ${ is written $${.".to_owned(),
            Self::SecretInFile { key } => {
                format!("Put the whole value into a variable and write `{key} = \"${{NAME}}\"`.")
            }
            Self::NotBuilt { instead, .. } => instead.clone(),
            Self::Collision { .. } => "Rename one of them.".to_owned(),
            Self::RivalTopics { .. } => {
                "Take it out of one of them, or set `keys = \"required\"` under [intake] in naru.toml and give each sender a key for its topic.".to_owned()
            }
            Self::BeyondLoopback { .. } => {
                "Add `tls = { certificate = \"…\", key = \"…\" }` under [server], or listen on 127.0.0.1.".to_owned()
            }
            Self::ReservedDataset { .. } => {
                "Choose another name: topics, naru and information_schema belong to naru.".to_owned()
            }
            Self::BadName { .. } => "Use letters of any script, digits, _ and -.".to_owned(),
            Self::MartWithoutDataset { name } => {
                format!("The folder below marts/ is the dataset: move it to marts/DATASET/{name}.sql.")
            }
            Self::NoSql { .. } => "Write a SELECT (or CREATE FUNCTION in functions/), or delete the file.".to_owned(),
            Self::NoSuchFile { nearest: Some(nearest), .. } => format!("Did you mean {nearest}?"),
            Self::NoSuchFile { .. } => {
                "Paths are relative to the project folder, for example checks/totals.sql.".to_owned()
            }
            Self::IgnoredFile { hint, .. } => hint.clone(),
            Self::NoSignIn { .. } => {
                "Add [sign_in] with `client_id`, `client_secret`, `domains`, `admins` and `url` (docs/guide/sign-in.md), or listen on 127.0.0.1.".to_owned()
            }
            Self::SchemeOfUrl { tls: true } => "Write `url = \"https://…\"`.".to_owned(),
            Self::SchemeOfUrl { tls: false } => {
                "Set `tls` under [server], or name the proxy that ends TLS: `proxies = [\"127.0.0.1\"]`.".to_owned()
            }
            Self::UnknownDataset { nearest, .. } => return nearest.as_ref().map(|near| format!("Did you mean \"{near}\"?")),
        })
    }
}

/// Makes a library's message a sentence.
fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut letters = text.chars();
    let capital: String = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    if capital.ends_with(['.', '!', '?', '…']) { capital } else { format!("{capital}.") }
}

/// All problems and notes found so far; a problem fails `naru check`, a note does not.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) problems: Vec<Problem>,
    pub(crate) notes: Vec<Problem>,
}

impl Report {
    /// Adds a mistake at the start of a span of a file.
    pub(crate) fn add(&mut self, text: &SourceText, span: &Range<usize>, mistake: Mistake) {
        self.problems.push(mistake.problem().at(text.place(span.start)));
    }

    /// Adds a mistake about a whole file.
    pub(crate) fn add_file(&mut self, file: &Path, mistake: Mistake) {
        self.problems.push(mistake.problem().at(whole(file)));
    }

    /// Adds something worth knowing about a whole file that is not wrong.
    pub(crate) fn note_file(&mut self, file: &Path, mistake: Mistake) {
        self.notes.push(mistake.problem().at(whole(file)));
    }
}

/// The first character of a file.
pub(crate) fn whole(file: &Path) -> Place {
    Place { file: file.to_path_buf(), line: 1, column: 1 }
}
