//! The project folder as typed, checked values.
//!
//! Owns: every setting a user can write, the names that files give to tables, and every mistake with its file, line,
//! column and hint, all of them in one reading. Never connects, never parses SQL, never writes except in [`init()`].
//! Read next: [`load`] for the folder, [`settings`] and [`source`] for settings, [`mart`] for marts.
//!
//! ```no_run
//! use naru_project::{Environment, Project};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let root = Project::find(&std::env::current_dir()?)?;
//! let loaded = Project::load(&root, &Environment::of_process());
//! for problem in &loaded.problems {
//!     eprintln!("{problem}");
//! }
//! # Ok(())
//! # }
//! ```

mod access_file;
pub mod check;
mod environment;
pub mod forward;
mod init;
pub mod intake;
pub mod load;
pub mod mart;
mod measure;
mod mistake;
mod names;
mod node;
mod one_file;
mod section;
pub mod selection;
pub mod settings;
pub mod sign_in;
pub mod source;
pub mod sqs;
mod text;
mod toml_text;
pub mod topic;
mod yaml_text;
mod zone;

pub use access_file::{ACCESS_FILE, AccessFile, Grant, Grantee, Group, Reach, Role};
pub use check::{Check, Literal, Rule, Severity};
pub use environment::Environment;
pub use init::{FOLDERS, InitOptions, init};
pub use intake::{IntakeSettings, Keys, Protocol, TlsSettings};
pub use load::{Loaded, Project, STATE_FOLDER};
pub use mart::{CheckFile, FunctionFile, Mart, MartKind, MartLimits, Schedule};
pub use measure::HoursWindow;
pub use mistake::Mistake;
pub use names::{RESERVED_DATASETS, is_reserved, nfc};
pub use one_file::{FileKind, problems_in, read_source};
pub use selection::{Pattern, Selection, is_system_schema};
pub use settings::{SETTINGS_FILE, Settings};
pub use sign_in::{DomainFrom, SignInSettings};
pub use source::{CopySettings, PostgresSource, Publication, Source, SourceKind, TableSettings};
pub use text::{SourceText, SqlFile};
pub use topic::Topic;
pub use zone::Zone;
