//! Tokens: made once, shown once, verified at every door.
//!
//! Owns: [`Tokens`] over the state database. Never keeps or logs a token itself; `secret_text` draws and hashes it.
//! Read next: [`crate::decide`] for what a verified principal may do.

use std::{net::SocketAddr, time::Duration};

use naru_base::{Problem, Secret, time::now_us};
use naru_store::{Store, StoreError, tokens};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{principal::Principal, secret_text};

/// Letters of a token's name; PostgreSQL clients cut user names at 63 bytes.
const NAME_BYTES_MAX: usize = 63;

/// Use is noted at most this often, so that a busy door does not write to disk at every call.
const TOUCH_EVERY_US: i64 = 60_000_000;

/// The word of a token that views every table.
const VIEW: &str = "view";

/// How the words of a token that sends to topics begin; a topic's name follows.
const SEND: &str = "send:";

/// An error of making or verifying tokens. A wrong token is no error: [`Tokens::verify`] then gives `None`.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A name that cannot be a user name.
    #[error("\"{name}\" cannot be the name of a token")]
    BadName {
        /// The name.
        name: String,
    },
    /// A live token has the name.
    #[error("there is already a token named \"{name}\"")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// No live token has the name.
    #[error("there is no token named \"{name}\"")]
    NoSuchToken {
        /// The name.
        name: String,
    },
    /// The state database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AccessError {
    /// The error as every surface prints it.
    pub fn problem(&self) -> Problem {
        let summary = self.to_string();
        match self {
            Self::BadName { .. } => {
                Problem::new("access.bad_name", summary).hint("Use letters, digits, - _ . and at most 63 bytes.")
            }
            Self::NameTaken { .. } => Problem::new("access.name_taken", summary)
                .hint("Choose another name, or revoke that token first: `naru token revoke NAME`."),
            Self::NoSuchToken { .. } => {
                Problem::new("access.no_such_token", summary).hint("`naru token list` shows those there are.")
            }
            Self::Store(error) => error.problem(),
        }
    }
}

/// A token just made. The only moment at which its text exists outside its owner's hands.
#[derive(Debug, Clone)]
pub struct IssuedToken {
    /// Counted from 1.
    pub id: i64,
    /// Its name, the user name at every door.
    pub name: String,
    /// Its text, the password at every door.
    pub secret: Secret,
    /// When it stops working, in microseconds since 1970 UTC.
    pub expires_us: Option<i64>,
}

impl IssuedToken {
    /// A ready URL for the Postgres wire.
    pub fn postgres_url(&self, address: SocketAddr, project: &str) -> Secret {
        let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (name, secret) = (part(&self.name), self.secret.expose());
        Secret::new(format!("postgres://{name}:{secret}@{address}/{}", part(project)))
    }
}

/// Who sends events with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The token's name.
    pub name: String,
    /// Topics it may send to, at least one.
    pub topics: Vec<String>,
}

/// A token as shown in lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// Counted from 1.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// Topics that it sends to; empty for one that views tables.
    pub sends: Vec<String>,
    /// Whether it opens doors now.
    pub standing: Standing,
    /// When it was made; all times in microseconds since 1970 UTC.
    pub created_us: i64,
    /// When it stops working.
    pub expires_us: Option<i64>,
    /// When it was last used, to the minute.
    pub last_used_us: Option<i64>,
}

/// Whether a token opens doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Live,
    /// Its time is over.
    Expired,
    /// Someone took it back.
    Revoked,
}

/// The tokens of one project.
#[derive(Debug, Clone)]
pub struct Tokens {
    store: Store,
}

impl Tokens {
    /// Tokens kept in a state database.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Makes a token. `ttl` is how long it lives; `None` until revoked. The name of an expired token is free again.
    ///
    /// # Errors
    /// [`AccessError::NameTaken`] when a live token has the name.
    pub async fn issue(&self, name: &str, owner: &str, ttl: Option<Duration>) -> Result<IssuedToken, AccessError> {
        self.make(name, owner, ttl, vec![VIEW.to_owned()]).await
    }

    /// Makes the key of a sender: it sends events to these topics, and opens no table.
    ///
    /// # Errors
    /// [`AccessError::NameTaken`] when a live token has the name.
    pub async fn issue_sender(
        &self,
        name: &str,
        owner: &str,
        ttl: Option<Duration>,
        topics: &[String],
    ) -> Result<IssuedToken, AccessError> {
        self.make(name, owner, ttl, topics.iter().map(|topic| format!("{SEND}{topic}")).collect()).await
    }

    async fn make(
        &self,
        name: &str,
        owner: &str,
        ttl: Option<Duration>,
        scopes: Vec<String>,
    ) -> Result<IssuedToken, AccessError> {
        if !is_name(name) {
            return Err(AccessError::BadName { name: name.to_owned() });
        }
        let secret = secret_text::draw();
        let created_us = now_us();
        let expires_us = ttl.map(|ttl| created_us.saturating_add(i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX)));
        let (row_name, owner, text) = (name.to_owned(), owner.to_owned(), secret.clone());
        let id = self
            .store
            .write(move |tx| {
                if tokens::live(tx, &row_name)?.is_some_and(|token| standing(&token, created_us) == Standing::Expired) {
                    tokens::revoke(tx, &row_name, created_us)?;
                }
                let token = tokens::Token {
                    id: 0,
                    name: row_name,
                    hash: secret_text::hash(text.expose()),
                    scram: postgres_protocol::password::scram_sha_256(text.expose().as_bytes()),
                    owner,
                    scopes,
                    created_us,
                    expires_us,
                    last_used_us: None,
                    revoked_us: None,
                };
                tokens::insert(tx, &token)
            })
            .await?;
        let id = id.ok_or_else(|| AccessError::NameTaken { name: name.to_owned() })?;
        Ok(IssuedToken { id, name: name.to_owned(), secret, expires_us })
    }

    /// Who a name and token are; `None` when there is no such live token. A name that does not exist takes as long
    /// as a wrong token, and says no more.
    pub async fn verify(&self, name: &str, secret: &str) -> Result<Option<Principal>, AccessError> {
        if !secret_text::is_formed(secret) {
            return Ok(None);
        }
        let (name, hash) = (name.to_owned(), secret_text::hash(secret));
        let found = self.store.read(move |tx| tokens::live(tx, &name)).await?;
        let now = now_us();
        let matches = secret_text::same(&hash, &found.as_ref().map_or([0; 32], |token| token.hash));
        let Some(token) = found.filter(|token| matches && standing(token, now) == Standing::Live) else {
            return Ok(None);
        };
        if !token.scopes.iter().any(|scope| scope == VIEW) {
            return Ok(None);
        }
        self.touch(&token, now).await?;
        Ok(Some(Principal::Token { id: token.id, name: token.name, owner: token.owner }))
    }

    /// The sender whose key this is; `None` when there is no such live token, or it may not send to any topic.
    pub async fn sender(&self, secret: &str) -> Result<Option<Sender>, AccessError> {
        if !secret_text::is_formed(secret) {
            return Ok(None);
        }
        let hash = secret_text::hash(secret);
        let found = self.store.read(move |tx| tokens::of_hash(tx, &hash)).await?;
        let now = now_us();
        let Some(token) = found.filter(|token| standing(token, now) == Standing::Live) else { return Ok(None) };
        let topics: Vec<String> =
            token.scopes.iter().filter_map(|scope| scope.strip_prefix(SEND)).map(str::to_owned).collect();
        if topics.is_empty() {
            return Ok(None);
        }
        self.touch(&token, now).await?;
        Ok(Some(Sender { name: token.name, topics }))
    }

    async fn touch(&self, token: &tokens::Token, now_us: i64) -> Result<(), AccessError> {
        if token.last_used_us.is_none_or(|last| now_us.saturating_sub(last) >= TOUCH_EVERY_US) {
            let id = token.id;
            self.store.write(move |tx| tokens::touch(tx, id, now_us)).await?;
        }
        Ok(())
    }

    /// Whether a principal that came in by a token may stay: its token is neither revoked nor expired. The owner and
    /// the project came in without one and stay.
    pub async fn stands(&self, principal: &Principal) -> Result<bool, AccessError> {
        let Principal::Token { id, name, .. } = principal else { return Ok(true) };
        let (id, name) = (*id, name.clone());
        let found = self.store.read(move |tx| tokens::live(tx, &name)).await?;
        Ok(found.is_some_and(|token| token.id == id && standing(&token, now_us()) == Standing::Live))
    }

    /// Takes a token back at once: the next call to [`Tokens::verify`] refuses it, and [`Tokens::stands`]
    /// no longer lets its connections stay.
    pub async fn revoke(&self, name: &str) -> Result<(), AccessError> {
        let row_name = name.to_owned();
        let revoked = self.store.write(move |tx| tokens::revoke(tx, &row_name, now_us())).await?;
        if revoked { Ok(()) } else { Err(AccessError::NoSuchToken { name: name.to_owned() }) }
    }

    /// Every token, by name and then by age, revoked ones included.
    pub async fn list(&self) -> Result<Vec<TokenInfo>, AccessError> {
        let now = now_us();
        let tokens = self.store.read(|tx| tokens::list(tx)).await?;
        Ok(tokens.into_iter().map(|token| info(token, now)).collect())
    }
}

fn info(token: tokens::Token, now_us: i64) -> TokenInfo {
    TokenInfo {
        standing: standing(&token, now_us),
        sends: token.scopes.iter().filter_map(|scope| scope.strip_prefix(SEND)).map(str::to_owned).collect(),
        id: token.id,
        name: token.name,
        owner: token.owner,
        created_us: token.created_us,
        expires_us: token.expires_us,
        last_used_us: token.last_used_us,
    }
}

fn standing(token: &tokens::Token, now_us: i64) -> Standing {
    if token.revoked_us.is_some() {
        Standing::Revoked
    } else if token.expires_us.is_some_and(|at| at <= now_us) {
        Standing::Expired
    } else {
        Standing::Live
    }
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(fits)
}
