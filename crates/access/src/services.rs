//! Service accounts: programs that have an owner, an end, and places they come from.
//!
//! Owns: [`Services`]. Their tokens are made by [`crate::Tokens`]; what they may see is granted in `access.toml`.

use std::{sync::Arc, time::Duration};

use naru_base::time::now_us;
use naru_store::{Store, people, services, tokens};

use crate::{
    error::AccessError,
    network::Network,
    people::is_active,
    principal::Account,
    scope::Scope,
    tokens::{Issue, IssuedToken, is_name, issue, life},
};

/// The longest that a service account lives without somebody making it anew.
pub const SERVICE_DAYS_MAX: u64 = 366;

/// What a new service account is.
#[derive(Debug, Clone)]
pub struct NewService {
    /// Its name, the user name at every door.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// The person who answers for it, by number.
    pub owner: i64,
    /// Addresses and networks it may come from; empty means anywhere.
    pub networks: Vec<String>,
    /// Days that it lives.
    pub days: u64,
}

/// A service account as shown in lists; times in microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceInfo {
    /// Counted from 1.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// The owner's number.
    pub owner: i64,
    /// The owner's e-mail.
    pub owner_name: String,
    /// Addresses and networks it may come from; empty means anywhere.
    pub networks: Vec<String>,
    /// When it was made.
    pub created_us: i64,
    /// When it stops working.
    pub expires_us: i64,
    /// Whether it works: its time is not over and its owner is here.
    pub active: bool,
}

/// The service accounts of one project.
#[derive(Debug, Clone)]
pub struct Services {
    store: Store,
}

impl Services {
    /// Service accounts kept in a state database.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Makes a service account.
    ///
    /// # Errors
    /// [`AccessError::BadName`], [`AccessError::ServiceTaken`], [`AccessError::BadNetwork`], [`AccessError::BadLife`],
    /// [`AccessError::NoSuchPerson`] for its owner.
    pub async fn make(&self, new: NewService) -> Result<ServiceInfo, AccessError> {
        if !is_name(&new.name) {
            return Err(AccessError::BadName { name: new.name });
        }
        let lives = life(new.days, SERVICE_DAYS_MAX)?;
        let networks: Vec<Network> = new.networks.iter().map(|text| text.trim().parse()).collect::<Result<_, _>>()?;
        let now = now_us();
        let service = services::Service {
            id: 0,
            name: new.name,
            purpose: new.purpose.trim().to_owned(),
            owner: new.owner,
            networks: networks.iter().map(ToString::to_string).collect(),
            created_us: now,
            expires_us: now.saturating_add(lives),
            ended_us: None,
        };
        self.store
            .write(move |tx| {
                let Some(owner) = people::get(tx, service.owner)?.filter(is_active) else {
                    return Ok(Err(AccessError::NoSuchPerson));
                };
                let Some(id) = services::insert(tx, &service)? else {
                    return Ok(Err(AccessError::ServiceTaken { name: service.name }));
                };
                Ok(Ok(info(services::Service { id, ..service }, Some(&owner), now)))
            })
            .await?
    }

    /// Service accounts that were not ended, by name.
    pub async fn list(&self) -> Result<Vec<ServiceInfo>, AccessError> {
        let now = now_us();
        let list = self.store.read(move |db| {
            let mut infos = Vec::new();
            for service in services::list(db)? {
                let owner = people::get(db, service.owner)?;
                infos.push(info(service, owner.as_ref(), now));
            }
            Ok(infos)
        });
        Ok(list.await?)
    }

    /// A service account by name.
    ///
    /// # Errors
    /// [`AccessError::NoSuchService`].
    pub async fn find(&self, name: &str) -> Result<ServiceInfo, AccessError> {
        let found = self.list().await?.into_iter().find(|service| service.name == name);
        found.ok_or_else(|| AccessError::NoSuchService { name: name.to_owned() })
    }

    /// A service account by number, while it works: for what runs with the rights of whoever made it.
    pub async fn account(&self, id: i64) -> Result<Option<Arc<Account>>, AccessError> {
        let now = now_us();
        let read = self.store.read(move |db| {
            let Some(service) = services::get(db, id)? else { return Ok(None) };
            let owner = people::get(db, service.owner)?;
            Ok(works(&service, owner.as_ref(), now).then(|| Arc::new(account(service))))
        });
        Ok(read.await?)
    }

    /// Makes a token of a service account; it ends with the account at the latest.
    ///
    /// # Errors
    /// As for a personal token.
    pub async fn issue_token(
        &self,
        service: &ServiceInfo,
        name: &str,
        days: u64,
        scopes: Vec<Scope>,
    ) -> Result<IssuedToken, AccessError> {
        let now = now_us();
        let until_end = Duration::from_micros(u64::try_from(service.expires_us.saturating_sub(now)).unwrap_or(0));
        let lives = life(days, SERVICE_DAYS_MAX)?.min(i64::try_from(until_end.as_micros()).unwrap_or(i64::MAX));
        let wanted = Issue {
            name: name.to_owned(),
            user: service.name.clone(),
            owner: service.owner_name.clone(),
            holder: tokens::Holder::Service(service.id),
            scopes,
            lives_us: Some(lives),
        };
        issue(&self.store, wanted).await
    }

    /// Ends a service account and its tokens.
    pub async fn end(&self, service: &ServiceInfo) -> Result<(), AccessError> {
        let id = service.id;
        Ok(self.store.write(move |tx| services::end(tx, id, now_us())).await?)
    }
}

/// A service account as everybody else sees it.
pub(crate) fn account(service: services::Service) -> Account {
    Account { id: service.id, shown: service.name.clone(), name: service.name, domain: None }
}

/// Whether a service account works, given its owner.
pub(crate) fn works(service: &services::Service, owner: Option<&people::Person>, now_us: i64) -> bool {
    service.ended_us.is_none() && service.expires_us > now_us && owner.is_some_and(is_active)
}

fn info(service: services::Service, owner: Option<&people::Person>, now_us: i64) -> ServiceInfo {
    ServiceInfo {
        active: works(&service, owner, now_us),
        id: service.id,
        name: service.name,
        purpose: service.purpose,
        owner: service.owner,
        owner_name: owner.map(|owner| owner.email.clone()).unwrap_or_default(),
        networks: service.networks,
        created_us: service.created_us,
        expires_us: service.expires_us,
    }
}
