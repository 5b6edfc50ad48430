//! Sessions of browsers: opened at sign-in, known by an opaque cookie, over after a while.
//!
//! Owns: [`Sessions`] and how long one lasts. Never sees a request; `server` reads and writes cookies.

use std::{net::IpAddr, sync::Arc, time::Duration};

use naru_base::{Secret, time::now_us};
use naru_store::{Store, people, sessions};

use crate::{
    error::AccessError,
    people::{account, is_active},
    principal::Principal,
    secret_text::{self, Kind},
};

/// A session that nobody uses ends after this.
pub const IDLE_MAX: Duration = Duration::from_hours(12);

/// A session ends after this in any case: only the issuer can say that a person is still one of the company's.
pub const LIFE_MAX: Duration = Duration::from_hours(24);

/// Rows of ended sessions are kept this long, for those who ask where someone was signed in.
const KEPT: Duration = Duration::from_hours(24 * 90);

/// Use is noted at most this often.
const TOUCH_EVERY_US: i64 = 60_000_000;

/// Letters of a User-Agent that are kept.
const CLIENT_LETTERS_MAX: usize = 120;

/// Whose a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionOf {
    /// The folder's owner, by a one-time link.
    Owner,
    /// A person, by number.
    Person(i64),
}

impl SessionOf {
    fn person(self) -> Option<i64> {
        match self {
            Self::Owner => None,
            Self::Person(id) => Some(id),
        }
    }
}

/// A session just opened; the only moment at which its cookie is known here.
#[derive(Debug, Clone)]
pub struct OpenedSession {
    /// Counted from 1.
    pub id: i64,
    /// The value of the cookie.
    pub cookie: Secret,
}

/// A session as shown in lists; times in microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Counted from 1.
    pub id: i64,
    /// When it was opened.
    pub created_us: i64,
    /// When it was last used, to the minute.
    pub used_us: i64,
    /// Where it was opened from.
    pub address: String,
    /// The browser, shortened.
    pub client: String,
}

/// The sessions of one project.
#[derive(Debug, Clone)]
pub struct Sessions {
    store: Store,
}

impl Sessions {
    /// Sessions kept in a state database.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Opens a session: at a sign-in, never for an existing one, so that a cookie known before is worth nothing.
    pub async fn open(&self, of: SessionOf, address: IpAddr, client: &str) -> Result<OpenedSession, AccessError> {
        let cookie = secret_text::draw(Kind::Session);
        let (hash, now) = (secret_text::hash(cookie.expose()), now_us());
        let session = sessions::Session {
            id: 0,
            person: of.person(),
            created_us: now,
            used_us: now,
            address: address.to_canonical().to_string(),
            client: client.chars().take(CLIENT_LETTERS_MAX).collect(),
        };
        let id = self
            .store
            .write(move |tx| {
                sessions::forget(tx, now.saturating_sub(micros(KEPT)))?;
                sessions::insert(tx, &hash, &session)
            })
            .await?;
        Ok(OpenedSession { id, cookie })
    }

    /// Whose a cookie is, with the session's number; `None` when it is nobody's, or its session is over.
    pub async fn enter(&self, cookie: &str) -> Result<Option<(i64, Principal)>, AccessError> {
        if !secret_text::is_formed(cookie, Kind::Session) {
            return Ok(None);
        }
        let hash = secret_text::hash(cookie);
        let found = self
            .store
            .read(move |db| {
                let Some(session) = sessions::of_hash(db, &hash)? else { return Ok(None) };
                let person = session.person.map(|id| people::get(db, id)).transpose()?.flatten();
                Ok(Some((session, person)))
            })
            .await?;
        let now = now_us();
        let Some((session, person)) = found.filter(|(session, _)| !is_over(session, now)) else { return Ok(None) };
        let principal = match (session.person, person) {
            (None, _) => Principal::Owner,
            (Some(_), Some(person)) if is_active(&person) => Principal::Person(Arc::new(account(person))),
            (Some(_), _) => return Ok(None),
        };
        if now.saturating_sub(session.used_us) >= TOUCH_EVERY_US {
            let id = session.id;
            self.store.write(move |tx| sessions::touch(tx, id, now)).await?;
        }
        Ok(Some((session.id, principal)))
    }

    /// Open sessions, newest first.
    pub async fn list(&self, of: SessionOf) -> Result<Vec<SessionInfo>, AccessError> {
        let now = now_us();
        let rows = self.store.read(move |db| sessions::list(db, of.person())).await?;
        let info = |row: sessions::Session| SessionInfo {
            id: row.id,
            created_us: row.created_us,
            used_us: row.used_us,
            address: row.address,
            client: row.client,
        };
        Ok(rows.into_iter().filter(|row| !is_over(row, now)).map(info).collect())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`AccessError::NoSuchSession`] when it is somebody else's, or has ended.
    pub async fn end(&self, of: SessionOf, id: i64) -> Result<(), AccessError> {
        let ended = self.store.write(move |tx| sessions::end(tx, of.person(), id, now_us())).await?;
        if ended { Ok(()) } else { Err(AccessError::NoSuchSession) }
    }
}

fn is_over(session: &sessions::Session, now_us: i64) -> bool {
    now_us.saturating_sub(session.used_us) >= micros(IDLE_MAX)
        || now_us.saturating_sub(session.created_us) >= micros(LIFE_MAX)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_after_twelve_idle_hours_and_after_a_day_in_any_case() {
        let hour = 3_600_000_000_i64;
        for (created, used, over) in
            [(0, 0, false), (-11, -11, false), (-12, -12, true), (-23, 0, false), (-24, 0, true)]
        {
            let session = sessions::Session {
                id: 1,
                person: None,
                created_us: 100 * hour + created * hour,
                used_us: 100 * hour + used * hour,
                address: String::new(),
                client: String::new(),
            };
            assert_eq!(is_over(&session, 100 * hour), over, "{created} {used}");
        }
    }
}
