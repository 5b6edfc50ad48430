//! The one transactional state database of a project, and the project's lock.
//!
//! Owns: `.naru/naru.db` (SQLite, WAL), its format and migrations, and typed functions by noun, which take the
//! transaction they run in. Never holds rows of people's tables, and never decides: it stores what others decided.
//! Read next: [`Store`] for connections, [`lock`] for who may write, the modules by noun for what is stored.
//!
//! ```no_run
//! # async fn example() -> Result<(), naru_store::StoreError> {
//! use naru_store::{Store, kv};
//! let store = Store::open(std::path::Path::new(".naru/naru.db"))?;
//! let project_id = store.write(|tx| kv::project_id(tx)).await?;
//! # Ok(())
//! # }
//! ```

pub mod audit;
mod database;
pub mod drafts;
mod error;
pub mod kv;
pub mod lock;
mod migrate;
pub mod people;
pub mod query_history;
pub mod runs;
pub mod runs_read;
pub mod saved;
pub mod schema_cache;
pub mod services;
pub mod sessions;
pub mod shares;
pub mod subscriptions;
pub mod sync_sources;
pub mod sync_tables;
pub mod tokens;
pub mod topics;

pub use database::{DATABASE_FILE, Store};
pub use error::StoreError;
pub use lock::{LOCK_FILE, Lock};
pub use rusqlite::Transaction;
