//! People: whom an issuer vouched for, and who has left.
//!
//! Owns: [`People`]. A person is an issuer and a subject; the e-mail is what they are called, may change, and may come to
//! be another person's. Never talks to an issuer; `server` does.

use std::sync::Arc;

use naru_base::time::now_us;
use naru_store::{Store, people, saved, services, sessions, tokens};

use crate::{error::AccessError, principal::Account};

/// How long a person's tokens open doors after a sign-in, in microseconds: whoever left the company without anybody
/// telling naru is out after it.
const VOUCHED_US: i64 = 30 * 86_400_000_000;

/// What an issuer says of someone who has just signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The issuer, exactly as it calls itself.
    pub issuer: String,
    /// What it calls them; never changes.
    pub subject: String,
    /// Their e-mail, which the issuer has verified.
    pub email: String,
    /// How they are shown.
    pub shown: String,
    /// The company's domain.
    pub domain: Option<String>,
}

/// Someone who has signed in at least once. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonInfo {
    /// As [`Account`]: number, e-mail, name, domain.
    pub account: Account,
    /// When the issuer last vouched for them.
    pub vouched_us: i64,
    /// Whether they may come in: they have not left, and nobody else has their e-mail now.
    pub active: bool,
}

/// What ended when someone left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offboarded {
    /// Sessions of browsers that were open.
    pub sessions: usize,
    /// Personal tokens that were live.
    pub tokens: usize,
    /// Service accounts that another person answers for now; without an heir they do not work any more.
    pub services: usize,
    /// Saved queries that are another person's now. Their shares end in any case.
    pub shares: usize,
}

/// The people of one project.
#[derive(Debug, Clone)]
pub struct People {
    store: Store,
}

impl People {
    /// People kept in a state database.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Takes note of a sign-in: makes the person at their first, and gives them the e-mail they have now. Whoever had
    /// that e-mail before under another subject is someone else, and out until they sign in again.
    ///
    /// # Errors
    /// [`AccessError::Left`] for someone who was offboarded.
    pub async fn vouched(&self, vouched: Vouched) -> Result<Arc<Account>, AccessError> {
        let email = naru_project::nfc(vouched.email.trim()).to_lowercase();
        let name = email.clone();
        let row = self
            .store
            .write(move |tx| {
                let known = people::of_subject(tx, &vouched.issuer, &vouched.subject)?;
                if known.is_some_and(|person| person.left_us.is_some()) {
                    return Ok(None);
                }
                let now = now_us();
                let person = people::Person {
                    id: 0,
                    issuer: vouched.issuer,
                    subject: vouched.subject,
                    email,
                    shown: vouched.shown,
                    domain: vouched.domain,
                    created_us: now,
                    vouched_us: now,
                    displaced_us: None,
                    left_us: None,
                };
                people::vouch(tx, &person).map(Some)
            })
            .await?;
        row.map(|person| Arc::new(account(person))).ok_or(AccessError::Left { name })
    }

    /// A person by number, while they may come in: for what runs with the rights of whoever made it.
    pub async fn account(&self, id: i64) -> Result<Option<Arc<Account>>, AccessError> {
        let row = self.store.read(move |db| people::get(db, id)).await?;
        Ok(row.filter(is_active).map(|person| Arc::new(account(person))))
    }

    /// Everybody who ever signed in, by e-mail.
    pub async fn list(&self) -> Result<Vec<PersonInfo>, AccessError> {
        let rows = self.store.read(|db| people::list(db)).await?;
        let info = |person: people::Person| PersonInfo {
            vouched_us: person.vouched_us,
            active: is_active(&person),
            account: account(person),
        };
        Ok(rows.into_iter().map(info).collect())
    }

    /// Someone has left: ends their sessions, tokens and shares, gives their service accounts and saved queries to `heir`
    /// (without one service accounts stop working), and lets them in no more, whatever the issuer says. Open connections
    /// end at their next look, within seconds. Doing it again ends what has come since.
    ///
    /// # Errors
    /// [`AccessError::NoSuchPerson`], also for the heir; [`AccessError::OwnHeir`].
    pub async fn offboard(&self, person: i64, heir: Option<i64>) -> Result<Offboarded, AccessError> {
        self.offboard_all(vec![person], heir).await
    }

    /// The same for several in one step, all or none: everybody whom issuers ever called by one address.
    ///
    /// # Errors
    /// As [`People::offboard`]; the heir may be none of them.
    pub async fn offboard_all(&self, all: Vec<i64>, heir: Option<i64>) -> Result<Offboarded, AccessError> {
        self.store
            .write(move |tx| {
                for person in &all {
                    let Some(leaving) = people::get(tx, *person)? else { return Ok(Err(AccessError::NoSuchPerson)) };
                    if heir == Some(*person) {
                        return Ok(Err(AccessError::OwnHeir { name: leaving.email }));
                    }
                }
                let taking = heir.map(|heir| people::get(tx, heir)).transpose()?.flatten();
                let taking = taking.filter(is_active);
                if heir.is_some() && taking.is_none() {
                    return Ok(Err(AccessError::NoSuchPerson));
                }
                let (now, mut done) = (now_us(), Offboarded { sessions: 0, tokens: 0, services: 0, shares: 0 });
                for person in all {
                    people::leave(tx, person, now)?;
                    done.sessions += sessions::end_all(tx, Some(person), now)?;
                    done.tokens += tokens::revoke_all(tx, tokens::Holder::Person(person), now)?;
                    if let Some(heir) = &taking {
                        done.services += services::hand_over(tx, person, heir.id)?;
                        done.shares += saved::hand_over(tx, &who(person), &who(heir.id), &heir.email)?;
                    }
                }
                Ok(Ok(done))
            })
            .await?
    }
}

/// The word under which the store knows whose a saved query is.
fn who(person: i64) -> String {
    format!("person:{person}")
}

/// A person as everybody else sees them.
pub(crate) fn account(person: people::Person) -> Account {
    Account { id: person.id, name: person.email, shown: person.shown, domain: person.domain }
}

/// Whether a person's tokens open doors: they may come in, and the issuer has vouched for them lately.
pub(crate) fn is_vouched(person: &people::Person, now_us: i64) -> bool {
    is_active(person) && now_us.saturating_sub(person.vouched_us) < VOUCHED_US
}

/// Whether a person may come in.
pub(crate) fn is_active(person: &people::Person) -> bool {
    person.left_us.is_none() && person.displaced_us.is_none()
}
