//! PostgreSQL as a source: connections, the replication protocol, and its rows as Arrow columns.
//!
//! Owns: connecting (TLS, passwords), the replication connection, the `pgoutput` decoder, the mapping of source types
//! to lake columns, and the builders that turn changes and `COPY` streams into Arrow without a row object between.
//! Never does: decide what to copy, keep positions, read the catalog, or touch the lake; that is the engine's.
//! Read next: [`settings`] and [`replication`] for connections, [`pgoutput`] for messages, [`types`] for columns,
//! [`rows`] and [`copy`] for data.

mod array;
mod auth;
pub mod cells;
mod channel_binding;
pub mod copy;
pub mod error;
mod frames;
pub mod pgoutput;
pub mod replication;
pub mod rows;
pub mod settings;
pub mod sql;
pub mod table;
mod tls;
mod transport;
pub mod types;

pub use copy::{CopyDecoder, copy_select_list};
pub use error::{CellError, PgoutputError, PostgresError, ServerCondition, ServerError};
pub use pgoutput::{Decoded, Decoder, Message, Relation};
pub use replication::{Event, ReplicationConnection, ReplicationReader, ReplicationWriter, StreamOptions};
pub use rows::ChangeBuilder;
pub use settings::{ConnectSettings, SslMode};
pub(crate) use sql::within;
pub use sql::{QueryError, SqlClient, cancel_query, connect_sql};
pub use table::{RelationMismatch, TablePlan, TargetColumn};
pub use types::{ColumnPlan, ColumnSource, DecodeCounts, TypeKind, TypeSource};
