//! What can go wrong between naru and a PostgreSQL server, and how it is told.
//!
//! Owns: [`PostgresError`], the server's own errors ([`ServerError`]) and their meaning for a mover
//! ([`ServerCondition`]), decoding errors. Never retries anything; never quotes a row value or a password.

use std::{borrow::Cow, fmt, io, path::PathBuf};

use naru_base::{Problem, problem::chain};
use thiserror::Error;

use super::settings::SettingsError;

/// Everything the PostgreSQL module can fail with.
#[derive(Debug, Error)]
pub enum PostgresError {
    /// The connection URL cannot be used.
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// No connection to the address could be made.
    #[error("cannot connect to {address}")]
    Connect {
        /// Host and port, or the socket's path.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The server did not answer in time.
    #[error("{address} did not answer within {seconds} s while {during}")]
    TimedOut {
        /// Host and port, or the socket's path.
        address: String,
        /// What naru was waiting for.
        during: &'static str,
        /// How long it waited.
        seconds: u64,
    },
    /// The settings demand TLS and the server has none.
    #[error("{address} does not offer TLS, which sslmode={mode} demands")]
    TlsRefused {
        /// Host and port.
        address: String,
        /// The mode asked for.
        mode: &'static str,
    },
    /// The TLS handshake failed, usually because the certificate is not trusted.
    #[error("the TLS handshake with {address} failed")]
    Tls {
        /// Host and port.
        address: String,
        /// What the TLS library said.
        source: io::Error,
    },
    /// A certificate or key file cannot be used.
    #[error("cannot use the certificate file {}: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The server asks for a way of signing in that naru does not know, or proved itself wrong.
    #[error("cannot sign in to {address}: {reason}")]
    SignIn {
        /// Host and port, or the socket's path.
        address: String,
        /// Why not.
        reason: Cow<'static, str>,
    },
    /// The server answered with an error.
    #[error("{0}")]
    Server(#[from] Box<ServerError>),
    /// The connection broke.
    #[error("the connection to the server broke")]
    Broken(#[source] io::Error),
    /// The server closed the connection or ended the stream.
    #[error("the server ended the connection while naru waited for {waiting_for}")]
    Ended {
        /// What naru was waiting for.
        waiting_for: &'static str,
    },
    /// The server sent something the protocol does not allow here.
    #[error("the server sent {got} where {expected} was expected")]
    Protocol {
        /// What the protocol allows here.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// A logical replication message cannot be read.
    #[error("{0}")]
    Pgoutput(#[from] PgoutputError),
    /// A value cannot be put into its lake column.
    #[error("{0}")]
    Cell(#[from] CellError),
    /// A `COPY` stream cannot be read.
    #[error("the COPY stream is malformed at byte {offset}: expected {expected}")]
    Copy {
        /// Bytes since the start of the stream.
        offset: u64,
        /// What should have stood there.
        expected: &'static str,
    },
    /// Decoded columns do not make a batch of the planned schema: a fault of naru.
    #[error("decoded columns do not fit the table's plan")]
    Batch(#[source] arrow::error::ArrowError),
    /// The client library failed without an answer from the server.
    #[error("the connection to the server failed")]
    Client(#[source] tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(server) => Self::Server(Box::new(ServerError::from(server))),
            None => Self::Client(error),
        }
    }
}

impl PostgresError {
    /// The server's error, where there is one.
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            Self::Server(error) => Some(error),
            _ => None,
        }
    }

    /// What the server's error means to a mover, where there is one.
    pub fn condition(&self) -> Option<ServerCondition> {
        self.server().map(ServerError::condition)
    }

    /// Turns the error into what people read.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Settings(error) => Problem::new("sync.url_unusable", error.to_string()).hint(
                "The form is postgres://user:password@host:5432/database; in user and password write @ as %40, / as \
                 %2F, # as %23 and % as %25.",
            ),
            Self::Connect { source, .. } => Problem::new("sync.connect_failed", self.to_string())
                .detail(chain(source))
                .hint("Check host and port, that the server runs, and that a firewall lets this machine through.")
                .later(),
            Self::TimedOut { .. } => Problem::new("sync.connect_failed", self.to_string())
                .hint("Check host and port, and that a firewall lets this machine through.")
                .later(),
            Self::TlsRefused { .. } => Problem::new("sync.tls_refused", self.to_string())
                .hint("Set ssl = on at the server, or put sslmode=prefer (or disable) into the URL."),
            Self::Tls { source, .. } => Problem::new("sync.tls_failed", self.to_string())
                .detail(chain(source))
                .hint("Name the provider's certificate file with sslrootcert=/path/to/ca.pem in the URL."),
            Self::Certificate { .. } => Problem::new("sync.tls_failed", self.to_string())
                .hint("The file must exist, be readable by naru and hold PEM text."),
            Self::SignIn { .. } => Problem::new("sync.sign_in_failed", self.to_string()),
            Self::Server(error) => error.problem(),
            Self::Broken(source) => {
                Problem::new("sync.connection_lost", self.to_string()).detail(chain(source)).later()
            }
            Self::Ended { .. } => Problem::new("sync.connection_lost", self.to_string()).later(),
            Self::Client(source) => {
                Problem::new("sync.connection_lost", self.to_string()).detail(chain(source)).later()
            }
            Self::Protocol { .. } => Problem::new("sync.protocol", self.to_string())
                .hint("Check that the address is a PostgreSQL server and not a connection pooler."),
            Self::Pgoutput(_) | Self::Copy { .. } => Problem::new("sync.protocol", self.to_string()),
            Self::Cell(error) => error.problem(),
            Self::Batch(source) => Problem::new("sync.internal", self.to_string()).detail(chain(source)),
        }
    }
}

/// An error as the server sent it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerError {
    /// SQLSTATE, five characters.
    pub sqlstate: String,
    /// The server's sentence.
    pub message: String,
    /// More from the server.
    pub detail: Option<String>,
    /// The server's advice.
    pub hint: Option<String>,
}

/// What a server error means to a mover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerCondition {
    /// The slot is held by another connection (55006).
    SlotInUse,
    /// The slot (or another named object) does not exist (42704).
    ObjectMissing,
    /// An object of that name exists already (42710).
    ObjectExists,
    /// The slot has lost its write-ahead log or was invalidated; it can never continue (58P01, 55000).
    SlotLost,
    /// Wrong password, or a user that may not sign in from here (28P01, 28000).
    SignInRefused,
    /// There is no such database (3D000).
    DatabaseMissing,
    /// The user lacks a privilege (42501).
    PrivilegeMissing,
    /// No connection or sender is free (53300, 53400).
    NoneFree,
    /// The server is starting, stopping or recovering (57P01, 57P02, 57P03).
    ServerRestarting,
    /// A lock was not granted in time (55P03).
    LockTimeout,
    /// The statement was cancelled (57014).
    Cancelled,
    /// The server contradicts itself: a fault of its own, or damage (class XX).
    Internal,
    /// Anything else.
    Other,
}

impl ServerError {
    /// Reads the body of an ErrorResponse or NoticeResponse: a letter and a zero-ended text, repeated.
    pub(crate) fn from_fields(body: &[u8]) -> Self {
        let mut error = Self::default();
        for field in body.split(|&byte| byte == 0) {
            let Some((&letter, text)) = field.split_first() else { continue };
            let text = String::from_utf8_lossy(text).into_owned();
            match letter {
                b'C' => error.sqlstate = text,
                b'M' => error.message = text,
                b'D' => error.detail = Some(text),
                b'H' => error.hint = Some(text),
                _ => {}
            }
        }
        error
    }

    /// Classifies the error by SQLSTATE, and by the server's words where one state has several meanings.
    pub fn condition(&self) -> ServerCondition {
        match self.sqlstate.as_str() {
            "55006" => ServerCondition::SlotInUse,
            "42704" => ServerCondition::ObjectMissing,
            "42710" => ServerCondition::ObjectExists,
            "58P01" => ServerCondition::SlotLost,
            // One state for many objections; 14 and 15 say it in the detail, later ones in the message.
            "55000" if self.says("no longer get changes") || self.says("invalidated") => ServerCondition::SlotLost,
            "28P01" | "28000" => ServerCondition::SignInRefused,
            "3D000" => ServerCondition::DatabaseMissing,
            "42501" => ServerCondition::PrivilegeMissing,
            "53300" | "53400" => ServerCondition::NoneFree,
            "57P01" | "57P02" | "57P03" => ServerCondition::ServerRestarting,
            "55P03" => ServerCondition::LockTimeout,
            "57014" => ServerCondition::Cancelled,
            state if state.starts_with("XX") => ServerCondition::Internal,
            _ => ServerCondition::Other,
        }
    }

    fn says(&self, words: &str) -> bool {
        self.message.contains(words) || self.detail.as_ref().is_some_and(|detail| detail.contains(words))
    }

    /// Turns the error into what people read.
    pub fn problem(&self) -> Problem {
        let (code, hint, later) = match self.condition() {
            ServerCondition::SlotInUse => {
                ("sync.slot_in_use", "Another program reads this slot; stop it, or wait until it is done.", true)
            }
            ServerCondition::ObjectMissing => ("sync.object_missing", "", false),
            ServerCondition::ObjectExists => ("sync.object_exists", "", false),
            ServerCondition::SlotLost => (
                "sync.slot_lost",
                "The server no longer keeps the log this slot needs; naru copies the tables again with a new slot. \
                 Raise max_slot_wal_keep_size if naru was away for less time than it should bear.",
                false,
            ),
            ServerCondition::SignInRefused => (
                "sync.sign_in_failed",
                "Put the right user and password where the source's url takes them from, and check pg_hba.conf. A \
                     secret file (${file:…}) is read again at every try; a variable only when naru starts.",
                true,
            ),
            ServerCondition::DatabaseMissing => ("sync.database_missing", "Check the database in the URL.", true),
            ServerCondition::PrivilegeMissing => ("sync.privilege_missing", "", false),
            ServerCondition::NoneFree => (
                "sync.none_free",
                "Raise max_wal_senders, max_replication_slots or max_connections, or end what is not needed.",
                true,
            ),
            ServerCondition::ServerRestarting => ("sync.server_restarting", "naru connects again by itself.", true),
            ServerCondition::LockTimeout => ("sync.lock_timeout", "", true),
            ServerCondition::Cancelled => ("sync.cancelled", "", true),
            ServerCondition::Internal | ServerCondition::Other => ("sync.server_error", "", false),
        };
        let mut problem = Problem::new(code, format!("the server refused: {}", self.message));
        problem.detail = Some(match &self.detail {
            Some(detail) => format!("{detail} (SQLSTATE {})", self.sqlstate),
            None => format!("SQLSTATE {}.", self.sqlstate),
        });
        problem.hint = match (hint.is_empty(), &self.hint) {
            (false, _) => Some(hint.to_owned()),
            (true, server) => server.clone(),
        };
        if later { problem.later() } else { problem }
    }
}

impl From<&tokio_postgres::error::DbError> for ServerError {
    fn from(error: &tokio_postgres::error::DbError) -> Self {
        Self {
            sqlstate: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server refused: {} (SQLSTATE {})", self.message, self.sqlstate)
    }
}

impl std::error::Error for ServerError {}

/// A replication message that does not follow the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("replication message '{}' is malformed at byte {offset}: expected {expected}", tag.escape_ascii())]
pub struct PgoutputError {
    /// First byte of the message; 0 when the message is empty.
    pub tag: u8,
    /// Where in the message.
    pub offset: usize,
    /// What should have stood there.
    pub expected: &'static str,
}

/// Why one value cannot be put into its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellFault {
    /// The bytes are not what the type's form demands; the text says what was expected.
    Malformed(&'static str),
    /// Text that is not UTF-8.
    NotUtf8,
    /// An array with this many dimensions came in a column declared with one.
    Dimensions(u32),
    /// A number has more digits than the column's declared precision and scale hold.
    TooManyDigits,
    /// The value came in binary form, and the type has no binary decoder here.
    NoBinaryDecoder,
    /// A column of the key holds no value.
    KeyMissing,
    /// One batch would hold more than 2 GiB in one column.
    BatchFull,
}

/// A value that cannot be put into its lake column. The value itself is never told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("column \"{column}\" ({type_name}) cannot be read: {}", fault.describe())]
pub struct CellError {
    /// The column's name at the source.
    pub column: String,
    /// The source type's name.
    pub type_name: String,
    /// Why.
    pub fault: CellFault,
}

impl CellFault {
    /// Says what is wrong, without the value.
    fn describe(self) -> Cow<'static, str> {
        match self {
            Self::Malformed(expected) => Cow::Owned(format!("expected {expected}")),
            Self::NotUtf8 => Cow::Borrowed("text that is not UTF-8"),
            Self::Dimensions(count) => Cow::Owned(format!("a value with {count} dimensions in a list column")),
            Self::TooManyDigits => Cow::Borrowed("more digits than the declared precision and scale hold"),
            Self::NoBinaryDecoder => Cow::Borrowed("it came in binary form, which naru cannot decode for this type"),
            Self::KeyMissing => Cow::Borrowed("the key has no value"),
            Self::BatchFull => Cow::Borrowed("one batch would hold more than 2 GiB in this column"),
        }
    }
}

impl CellError {
    /// Turns the error into what people read.
    pub fn problem(&self) -> Problem {
        let problem = Problem::new("sync.value_unreadable", self.to_string());
        match self.fault {
            CellFault::Dimensions(_) => problem.hint(format!(
                "Declare the column's dimensions at the source (such as {}[]), so that it becomes JSON text, or exclude \
                 it in the source file; then run `naru sync resync` for the table.",
                self.type_name
            )),
            CellFault::KeyMissing => problem.hint(
                "The table's replica identity does not hold the key: ALTER TABLE … REPLICA IDENTITY DEFAULT, then run \
                 `naru sync resync` for the table.",
            ),
            CellFault::Malformed(_)
            | CellFault::NotUtf8
            | CellFault::TooManyDigits
            | CellFault::NoBinaryDecoder
            | CellFault::BatchFull => {
                problem.hint("Exclude the column in the source file, or run `naru sync resync` for the table.")
            }
        }
    }
}
