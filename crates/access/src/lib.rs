//! Who may do what.
//!
//! Owns: tokens ([`Tokens`]) and the one decision ([`Rights::decide`]) below every door. Never opens a door itself
//! and never sees a query: doors ask with a principal, an action and a table.
//! Read next: [`tokens`] for sign-in, [`rights`] for decisions.
//!
//! ```no_run
//! # async fn example(store: naru_store::Store) -> Result<(), Box<dyn std::error::Error>> {
//! use naru_access::{Action, Policy, Tokens};
//! let tokens = Tokens::new(store);
//! let issued = tokens.issue("bi", "kim", None).await?;
//! if let Some(principal) = tokens.verify("bi", issued.secret.expose()).await? {
//!     let decision = Policy::default().now().decide(&principal, Action::View, &"shop.orders".parse()?);
//! }
//! # Ok(())
//! # }
//! ```

pub mod principal;
pub mod rights;
mod secret_text;
pub mod tokens;

pub use naru_project::{AccessFile, Grant, Grantee, Reach, Role};
pub use principal::{Account, Action, Decision, Principal};
pub use rights::{Policy, Rights, Terms, Visible};
pub use secret_text::PREFIX as TOKEN_PREFIX;
pub use tokens::{AccessError, IssuedToken, Sender, Standing, TokenInfo, Tokens};
