//! Tokens: made once, shown once, looked up at every door.
//!
//! Owns: [`Tokens`] over the state database: those of the project, of people and of service accounts. Never keeps or logs
//! a token itself; `secret_text` draws and hashes it.
//! Read next: [`crate::Rights`] for what their holders may do, [`crate::scope`] for what a token is for.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use naru_base::{Secret, TableId, time::now_us};
use naru_store::{
    Store, StoreError, Transaction, people, services,
    tokens::{self, Holder},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    error::AccessError,
    network::Network,
    people::{account, is_vouched},
    principal::{Account, Action, Decision, Principal},
    rights::Rights,
    scope::Scope,
    secret_text::{self, Kind},
    services::{self as accounts, works},
};

/// The longest that a personal token lives.
pub const PERSONAL_DAYS_MAX: u64 = 90;

/// Letters of a token's name; PostgreSQL clients cut user names at 63 bytes.
const NAME_BYTES_MAX: usize = 63;

/// Live tokens of one person or service account, at most: more are a program that forgets them.
const HELD_MAX: usize = 100;

/// Use is noted at most this often, so that a busy door does not write to disk at every call.
const TOUCH_EVERY_US: i64 = 60_000_000;

/// A token just made. The only moment at which its text exists outside its owner's hands.
#[derive(Debug, Clone)]
pub struct IssuedToken {
    /// Counted from 1.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The user name that goes with it at every door.
    pub user: String,
    /// Its text, the password at every door.
    pub secret: Secret,
    /// When it stops working, in microseconds since 1970 UTC.
    pub expires_us: Option<i64>,
}

impl IssuedToken {
    /// A ready URL for the Postgres wire.
    pub fn postgres_url(&self, address: SocketAddr, project: &str) -> Secret {
        let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (user, secret) = (part(&self.user), self.secret.expose());
        Secret::new(format!("postgres://{user}:{secret}@{address}/{}", part(project)))
    }
}

/// Someone who came in with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whom it stands for.
    pub principal: Principal,
    /// The token's number, for [`Tokens::stands`].
    pub token: i64,
    /// What it is for.
    pub scopes: Vec<Scope>,
}

impl Entry {
    /// Whether the token is for something.
    pub fn is_for(&self, scope: &Scope) -> bool {
        self.scopes.contains(scope)
    }
}

/// Who sends or receives events with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The token's name.
    pub name: String,
    /// Topics it may send to.
    pub topics: Vec<String>,
    /// Topics whose events it may receive.
    pub receives: Vec<String>,
    /// Networks it may come from; empty means anywhere.
    pub networks: Vec<Network>,
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
    /// What it is for.
    pub scopes: Vec<Scope>,
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

    /// Makes a token of the project for SQL. `ttl` is how long it lives; `None` until revoked. The name of an expired
    /// token is free again.
    ///
    /// # Errors
    /// [`AccessError::NameTaken`] when a live token has the name.
    pub async fn issue(&self, name: &str, owner: &str, ttl: Option<Duration>) -> Result<IssuedToken, AccessError> {
        self.of_project(name, owner, ttl, vec![Scope::Query]).await
    }

    /// Makes the key of a sender: it sends events to some topics, receives those of others, and opens no table.
    ///
    /// # Errors
    /// [`AccessError::NameTaken`] when a live token has the name.
    pub async fn issue_sender(
        &self,
        name: &str,
        owner: &str,
        ttl: Option<Duration>,
        sends: &[String],
        receives: &[String],
    ) -> Result<IssuedToken, AccessError> {
        let scopes = sends.iter().cloned().map(Scope::Send).chain(receives.iter().cloned().map(Scope::Receive));
        self.of_project(name, owner, ttl, scopes.collect()).await
    }

    /// Makes a token of the project for whatever it shall be for.
    ///
    /// # Errors
    /// As for a personal token; it too lives [`PERSONAL_DAYS_MAX`] at most.
    pub async fn issue_for_project(
        &self,
        name: &str,
        owner: &str,
        days: u64,
        scopes: Vec<Scope>,
    ) -> Result<IssuedToken, AccessError> {
        let lives = Duration::from_micros(naru_base::number::u64_from_signed(life(days, PERSONAL_DAYS_MAX)?));
        self.of_project(name, owner, Some(lives), scopes).await
    }

    async fn of_project(
        &self,
        name: &str,
        owner: &str,
        ttl: Option<Duration>,
        scopes: Vec<Scope>,
    ) -> Result<IssuedToken, AccessError> {
        if !is_name(name) {
            return Err(AccessError::BadName { name: name.to_owned() });
        }
        let lives_us = ttl.map(|ttl| i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX));
        let (name, owner) = (name.to_owned(), owner.to_owned());
        issue(&self.store, Issue { user: name.clone(), name, owner, holder: Holder::Project, scopes, lives_us }).await
    }

    /// Makes a personal token. Its name is free text that its owner knows it by.
    ///
    /// # Errors
    /// [`AccessError::BadLife`] beyond [`PERSONAL_DAYS_MAX`], [`AccessError::NameTaken`], [`AccessError::NoScope`],
    /// [`AccessError::TooManyTokens`].
    pub async fn issue_personal(
        &self,
        person: &Account,
        name: &str,
        days: u64,
        scopes: Vec<Scope>,
    ) -> Result<IssuedToken, AccessError> {
        let wanted = Issue {
            name: name.to_owned(),
            user: person.name.clone(),
            owner: person.name.clone(),
            holder: Holder::Person(person.id),
            scopes,
            lives_us: Some(life(days, PERSONAL_DAYS_MAX)?),
        };
        issue(&self.store, wanted).await
    }

    /// Whom a token stands for; `None` when nobody has it, it is over, its holder is out, or it comes from where it may
    /// not. A `user` that is given must be the one that goes with it. A user who does not exist takes as long as a
    /// wrong token, and says no more: the user is compared last.
    pub async fn enter(
        &self,
        user: Option<&str>,
        secret: &str,
        from: Option<IpAddr>,
    ) -> Result<Option<Entry>, AccessError> {
        let Some((token, held)) = self.held(secret).await? else { return Ok(None) };
        let from_there = held.networks.is_empty() || from.is_some_and(|from| allowed(&held.networks, from));
        if !from_there || user.is_some_and(|user| user.to_lowercase() != held.user.to_lowercase()) {
            return Ok(None);
        }
        self.touch(&token).await?;
        Ok(Some(Entry { principal: held.principal, token: token.id, scopes: scopes(&token) }))
    }

    /// The sender whose key this is; `None` when there is no such live token, or it is for no topic. Topics that its
    /// holder may not change (to send) or view (to receive) are left out; words of the project's own tokens are the
    /// grant of the folder's owner, and stay.
    pub async fn sender(&self, secret: &str, rights: &Rights) -> Result<Option<Sender>, AccessError> {
        let Some((token, held)) = self.held(secret).await? else { return Ok(None) };
        let (mut topics, mut receives) = (Vec::new(), Vec::new());
        let said = scopes(&token);
        let is_for_topics = said.iter().any(|scope| matches!(scope, Scope::Send(_) | Scope::Receive(_)));
        let allowed = |scope: &Scope| matches!(rights.decide_scope(&held.principal, scope), Decision::Allow);
        for scope in said.into_iter().filter(allowed) {
            match scope {
                Scope::Send(topic) => topics.push(topic),
                Scope::Receive(topic) => receives.push(topic),
                Scope::Query | Scope::Api => {}
            }
        }
        if !is_for_topics {
            return Ok(None);
        }
        self.touch(&token).await?;
        let name = if token.holder == Holder::Project { token.name } else { held.user };
        Ok(Some(Sender { name, topics, receives, networks: held.networks }))
    }

    /// The live token of a secret, with whom it stands for.
    async fn held(&self, secret: &str) -> Result<Option<(tokens::Token, Held)>, AccessError> {
        if !Kind::TOKENS.iter().any(|kind| secret_text::is_formed(secret, *kind)) {
            return Ok(None);
        }
        let (hash, now) = (secret_text::hash(secret), now_us());
        let found = self.store.read(move |db| {
            let Some(token) = tokens::of_hash(db, &hash)? else { return Ok(None) };
            Ok(Held::of(db, &token, now)?.map(|held| (token, held)))
        });
        Ok(found.await?)
    }

    async fn touch(&self, token: &tokens::Token) -> Result<(), AccessError> {
        let now = now_us();
        if token.last_used_us.is_none_or(|last| now.saturating_sub(last) >= TOUCH_EVERY_US) {
            let id = token.id;
            self.store.write(move |tx| tokens::touch(tx, id, now)).await?;
        }
        Ok(())
    }

    /// Whether someone who came in by a token may stay: it is neither revoked nor over, and its holder is not out.
    pub async fn stands(&self, token: i64) -> Result<bool, AccessError> {
        let now = now_us();
        let held = self.store.read(move |db| match tokens::get(db, token)? {
            Some(token) => Held::of(db, &token, now),
            None => Ok(None),
        });
        Ok(held.await?.is_some())
    }

    /// Takes a token of the project back at once: the next [`Tokens::enter`] refuses it, and [`Tokens::stands`] no
    /// longer lets its connections stay.
    pub async fn revoke(&self, name: &str) -> Result<(), AccessError> {
        let row_name = name.to_owned();
        let revoked = self
            .store
            .write(move |tx| match tokens::live(tx, Holder::Project, &row_name)? {
                Some(token) => tokens::revoke(tx, token.id, now_us()),
                None => Ok(false),
            })
            .await?;
        if revoked { Ok(()) } else { Err(AccessError::NoSuchToken { name: name.to_owned() }) }
    }

    /// Takes back a token of a person or a service account, by its number.
    ///
    /// # Errors
    /// [`AccessError::NoSuchToken`] also when it is somebody else's.
    pub async fn revoke_held(&self, holder: Holder, id: i64) -> Result<(), AccessError> {
        let revoked = self
            .store
            .write(move |tx| match tokens::get(tx, id)? {
                Some(token) if token.holder == holder => tokens::revoke(tx, id, now_us()),
                Some(_) | None => Ok(false),
            })
            .await?;
        if revoked { Ok(()) } else { Err(AccessError::NoSuchToken { name: id.to_string() }) }
    }

    /// Every token of the project, by name and then by age, revoked ones included.
    pub async fn list(&self) -> Result<Vec<TokenInfo>, AccessError> {
        self.list_held(Holder::Project).await
    }

    /// Every token of a holder, by name and then by age, revoked ones included.
    pub async fn list_held(&self, holder: Holder) -> Result<Vec<TokenInfo>, AccessError> {
        let now = now_us();
        let tokens = self.store.read(move |db| tokens::list(db, holder)).await?;
        Ok(tokens.into_iter().map(|token| info(token, now)).collect())
    }
}

impl Rights {
    /// Decides whether a token of someone may be for something with a topic; what else it is for is decided where it
    /// is used. Tokens of the project are made by the folder's owner, whose grant their words are.
    pub fn decide_scope(&self, principal: &Principal, scope: &Scope) -> Decision {
        let (action, topic) = match scope {
            Scope::Send(topic) => (Action::Change, topic),
            Scope::Receive(topic) => (Action::View, topic),
            Scope::Query | Scope::Api => return Decision::Allow,
        };
        match principal {
            Principal::Token { .. } => Decision::Allow,
            _ => self.decide(principal, action, &TableId::new("topics", topic)),
        }
    }
}

/// Whom a live token stands for.
struct Held {
    principal: Principal,
    user: String,
    networks: Vec<Network>,
}

impl Held {
    /// `None` when the token is over or its holder is out.
    fn of(db: &Transaction<'_>, token: &tokens::Token, now_us: i64) -> Result<Option<Self>, StoreError> {
        if standing(token, now_us) != Standing::Live {
            return Ok(None);
        }
        Ok(match token.holder {
            Holder::Project => {
                let (name, owner) = (token.name.clone(), token.owner.clone());
                let principal = Principal::Token { id: token.id, name, owner };
                Some(Self { principal, user: token.name.clone(), networks: Vec::new() })
            }
            Holder::Person(id) => people::get(db, id)?.filter(|person| is_vouched(person, now_us)).map(|person| {
                let account = account(person);
                let user = account.name.clone();
                Self { principal: Principal::Person(Arc::new(account)), user, networks: Vec::new() }
            }),
            Holder::Service(id) => match services::get(db, id)? {
                Some(service) => {
                    let owner = people::get(db, service.owner)?;
                    works(&service, owner.as_ref(), now_us).then(|| Self::of_service(service))
                }
                None => None,
            },
        })
    }

    fn of_service(service: services::Service) -> Self {
        // What was checked when it was written is read as it was.
        let networks = service.networks.iter().filter_map(|text| text.parse().ok()).collect();
        let user = service.name.clone();
        Self { principal: Principal::Service(Arc::new(accounts::account(service))), user, networks }
    }
}

/// Whether an address belongs to one of some networks; to none of none.
pub(crate) fn allowed(networks: &[Network], from: IpAddr) -> bool {
    networks.iter().any(|network| network.holds(from))
}

/// A token to make.
pub(crate) struct Issue {
    pub name: String,
    pub user: String,
    pub owner: String,
    pub holder: Holder,
    pub scopes: Vec<Scope>,
    pub lives_us: Option<i64>,
}

/// Makes a token, with a name that an expired one may have had.
pub(crate) async fn issue(store: &Store, wanted: Issue) -> Result<IssuedToken, AccessError> {
    let Issue { name, user, owner, holder, mut scopes, lives_us } = wanted;
    let name = naru_project::nfc(name.trim());
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(AccessError::BadName { name });
    }
    if scopes.is_empty() {
        return Err(AccessError::NoScope);
    }
    scopes.sort();
    scopes.dedup();
    let secret = secret_text::draw(match holder {
        Holder::Project => Kind::Project,
        Holder::Person(_) => Kind::Personal,
        Holder::Service(_) => Kind::Service,
    });
    let created_us = now_us();
    let expires_us = lives_us.map(|lives| created_us.saturating_add(lives));
    let token = tokens::Token {
        id: 0,
        name: name.clone(),
        hash: secret_text::hash(secret.expose()),
        scram: scram(&secret).await?,
        owner,
        scopes: scopes.iter().map(ToString::to_string).collect(),
        created_us,
        expires_us,
        last_used_us: None,
        revoked_us: None,
        holder,
    };
    let stored = store.write(move |tx| store_token(tx, &token, created_us)).await?;
    match stored {
        Stored::Made(id) => Ok(IssuedToken { id, name, user, secret, expires_us }),
        Stored::NameTaken => Err(AccessError::NameTaken { name }),
        Stored::TooMany => Err(AccessError::TooManyTokens { most: HELD_MAX }),
    }
}

/// The verifier is thousands of hashes, too many for an async thread.
async fn scram(secret: &Secret) -> Result<String, AccessError> {
    let text = secret.clone();
    let made =
        tokio::task::spawn_blocking(move || postgres_protocol::password::scram_sha_256(text.expose().as_bytes()));
    made.await.map_err(|_| AccessError::Store(StoreError::Closing))
}

enum Stored {
    Made(i64),
    NameTaken,
    TooMany,
}

fn store_token(tx: &Transaction<'_>, token: &tokens::Token, now_us: i64) -> Result<Stored, StoreError> {
    if let Some(former) = tokens::live(tx, token.holder, &token.name)?
        && standing(&former, now_us) == Standing::Expired
    {
        tokens::revoke(tx, former.id, now_us)?;
    }
    if token.holder != Holder::Project {
        let held = tokens::list(tx, token.holder)?;
        if held.iter().filter(|held| standing(held, now_us) == Standing::Live).count() >= HELD_MAX {
            return Ok(Stored::TooMany);
        }
    }
    Ok(tokens::insert(tx, token)?.map_or(Stored::NameTaken, Stored::Made))
}

/// Days as microseconds.
///
/// # Errors
/// [`AccessError::BadLife`] for none, and beyond the most.
pub(crate) fn life(days: u64, most: u64) -> Result<i64, AccessError> {
    if (1..=most).contains(&days) {
        Ok(naru_base::number::i64_from(days.saturating_mul(86_400_000_000)))
    } else {
        Err(AccessError::BadLife { days, most })
    }
}

fn scopes(token: &tokens::Token) -> Vec<Scope> {
    // A word of newer software opens nothing here.
    token.scopes.iter().filter_map(|text| text.parse().ok()).collect()
}

fn info(token: tokens::Token, now_us: i64) -> TokenInfo {
    TokenInfo {
        standing: standing(&token, now_us),
        scopes: scopes(&token),
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

/// Whether a text can be the user name of a token of the project or a service account.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(fits)
}
