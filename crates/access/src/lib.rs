//! Who may do what.
//!
//! Owns: tokens ([`Tokens`]) and the one decision function ([`decide`]) below every door. Never opens a door itself
//! and never sees a query: doors ask with a principal, an action and a table.
//! Read next: [`tokens`] for sign-in, [`principal`] for decisions.
//!
//! ```no_run
//! # async fn example(store: naru_store::Store) -> Result<(), Box<dyn std::error::Error>> {
//! use naru_access::{Action, Tokens, decide};
//! let tokens = Tokens::new(store);
//! let issued = tokens.issue("bi", "kim", None).await?;
//! if let Some(principal) = tokens.verify("bi", issued.secret.expose()).await? {
//!     decide(&principal, Action::View, &"shop.orders".parse()?).into_result()?;
//! }
//! # Ok(())
//! # }
//! ```

pub mod principal;
mod secret_text;
pub mod tokens;

pub use principal::{Action, Decision, Principal, decide};
pub use secret_text::PREFIX as TOKEN_PREFIX;
pub use tokens::{AccessError, IssuedToken, Sender, Standing, TokenInfo, Tokens};
