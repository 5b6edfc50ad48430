//! Who may do what.
//!
//! Owns: people, service accounts, their sessions and tokens ([`People`], [`Services`], [`Sessions`], [`Tokens`]), and the
//! one decision ([`Rights::decide`]) below every door. Never opens a door itself and never sees a query: doors ask with a
//! principal, an action and a table.
//! Read next: [`tokens`] for who comes in, [`rights`] for decisions.
//!
//! ```no_run
//! # async fn example(store: naru_store::Store) -> Result<(), Box<dyn std::error::Error>> {
//! use naru_access::{Action, Policy, Tokens};
//! let tokens = Tokens::new(store);
//! let issued = tokens.issue("bi", "kim", None).await?;
//! if let Some(entry) = tokens.enter(Some("bi"), issued.secret.expose(), None).await? {
//!     let decision = Policy::default().now().decide(&entry.principal, Action::View, &"shop.orders".parse()?);
//! }
//! # Ok(())
//! # }
//! ```

pub mod audit;
pub mod compare;
mod error;
mod network;
pub mod people;
pub mod principal;
pub mod rights;
pub mod scope;
mod secret_text;
pub mod services;
pub mod sessions;
pub mod tokens;
pub mod why;

pub use error::AccessError;
pub use naru_project::{AccessFile, Grant, Grantee, Reach, Role};
pub use naru_store::tokens::Holder;
pub use network::Network;
pub use people::{Offboarded, People, PersonInfo, Vouched};
pub use principal::{Account, Action, Decision, Principal};
pub use rights::{Policy, Rights, Terms, Visible};
pub use scope::Scope;
pub use secret_text::PREFIX as TOKEN_PREFIX;
pub use services::{NewService, SERVICE_DAYS_MAX, ServiceInfo, Services};
pub use sessions::{OpenedSession, SessionInfo, SessionOf, Sessions};
pub use tokens::{Entry, IssuedToken, PERSONAL_DAYS_MAX, Sender, Standing, TokenInfo, Tokens};
