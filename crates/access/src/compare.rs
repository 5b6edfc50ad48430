//! Who gains and who loses what between two sets of rights.
//!
//! Owns: [`compare`]. It compares decisions, not files: a grant that changes nothing for anybody is no change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use naru_base::TableId;
use naru_project::{AccessFile, Grantee, Reach, Role};

use crate::{
    principal::{Account, Principal},
    rights::Rights,
};

/// Tables of one change that are told by name.
const NAMED_MAX: usize = 20;

/// What changes for someone on some tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// For whom, as `access.toml` would name them.
    pub who: Grantee,
    /// The dataset.
    pub dataset: String,
    /// What they may do now.
    pub before: Option<Role>,
    /// What they may do then.
    pub after: Option<Role>,
    /// How many tables of the dataset.
    pub tables: usize,
    /// Whether those are all tables of the dataset.
    pub all: bool,
    /// Their names, the first 20.
    pub names: Vec<String>,
}

impl Change {
    /// Whether they lose something.
    pub fn loses(&self) -> bool {
        self.after < self.before
    }
}

/// A dataset, and what someone may do with some of its tables before and after.
type Turn<'t> = (&'t str, Option<Role>, Option<Role>);

/// Compares what all of these may do with all of these tables. Those that the files name are added to both. People who
/// gain or lose just what everyone of their domain does are not told one by one.
pub fn compare(before: &Rights, after: &Rights, known: &[Principal], tables: &[TableId]) -> Vec<Change> {
    let mut everyone = named(before.file());
    everyone.extend(named(after.file()));
    everyone.extend(known.iter().filter_map(|principal| Some((grantee(principal)?, principal.clone()))));
    let mut all: BTreeSet<TableId> = tables.iter().cloned().collect();
    all.extend(named_tables(before.file()).chain(named_tables(after.file())));
    let empty: Vec<TableId> = named_datasets(before.file())
        .chain(named_datasets(after.file()))
        .filter(|dataset| !all.iter().any(|table| table.dataset == *dataset))
        .map(|dataset| TableId::new(dataset, "*"))
        .collect();
    all.extend(empty);
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for table in &all {
        *sizes.entry(&table.dataset).or_default() += 1;
    }
    let mut domains: BTreeMap<String, Vec<Change>> = BTreeMap::new();
    let mut changes = Vec::new();
    // Domains sort before people.
    for (who, principal) in everyone {
        let found = changes_of(before, after, &who, &principal, &all, &sizes);
        let same = |other: &Vec<Change>| {
            let mut pairs = other.iter().zip(&found);
            other.len() == found.len() && pairs.all(|(a, b)| Change { who: who.clone(), ..a.clone() } == *b)
        };
        match (&who, &principal) {
            (Grantee::Domain(domain), _) => {
                domains.insert(domain.clone(), found.clone());
            }
            (_, Principal::Person(account))
                if account.domain.as_ref().and_then(|domain| domains.get(domain)).is_some_and(same) =>
            {
                continue;
            }
            _ => {}
        }
        changes.extend(found);
    }
    changes
}

fn changes_of(
    before: &Rights,
    after: &Rights,
    who: &Grantee,
    principal: &Principal,
    tables: &BTreeSet<TableId>,
    sizes: &BTreeMap<&str, usize>,
) -> Vec<Change> {
    let (then, now) = (before.visible(principal), after.visible(principal));
    let mut changed: BTreeMap<Turn<'_>, Vec<&TableId>> = BTreeMap::new();
    for table in tables {
        let roles = (then.role(table), now.role(table));
        if roles.0 != roles.1 {
            changed.entry((&table.dataset, roles.0, roles.1)).or_default().push(table);
        }
    }
    let change = |((dataset, before, after), tables): (Turn<'_>, Vec<&TableId>)| Change {
        who: who.clone(),
        dataset: dataset.to_owned(),
        before,
        after,
        tables: tables.len(),
        all: sizes.get(dataset) == Some(&tables.len()),
        names: tables.iter().take(NAMED_MAX).map(|table| table.table.clone()).collect(),
    };
    changed.into_iter().map(change).collect()
}

/// Under which name a file would grant something to someone themselves.
pub fn grantee(principal: &Principal) -> Option<Grantee> {
    match principal {
        Principal::Owner | Principal::Project => None,
        Principal::Person(account) => Some(Grantee::Person(account.name.to_lowercase())),
        Principal::Service(account) => Some(Grantee::Service(account.name.clone())),
        Principal::Token { name, .. } => Some(Grantee::Token(name.clone())),
    }
}

/// Someone as `access.toml` names them, to ask about. A person of whom nothing else is known is taken for one of the
/// domain of their address; a domain for anyone of it. A group is nobody by itself.
pub fn stand_in(who: &Grantee) -> Option<Principal> {
    let account = |name: &str, domain: Option<String>| {
        Arc::new(Account { id: 0, name: name.to_owned(), shown: name.to_owned(), domain })
    };
    match who {
        Grantee::Group(_) => None,
        Grantee::Domain(domain) => Some(Principal::Person(account("", Some(domain.clone())))),
        Grantee::Person(address) => {
            let domain = address.rsplit_once('@').map(|(_, domain)| domain.to_owned());
            Some(Principal::Person(account(address, domain)))
        }
        Grantee::Service(name) => Some(Principal::Service(account(name, None))),
        Grantee::Token(name) => Some(Principal::Token { id: 0, name: name.clone(), owner: String::new() }),
    }
}

/// Everyone that a file names, in groups too.
fn named(file: &AccessFile) -> BTreeMap<Grantee, Principal> {
    let members = file.groups.values().flat_map(|group| &group.members).cloned().map(Grantee::Person);
    let granted = file.grants.iter().flat_map(|grant| &grant.to).cloned();
    granted.chain(members).filter_map(|who| Some((who.clone(), stand_in(&who)?))).collect()
}

/// Datasets that a file grants as a whole; one without tables is compared as if it had one.
fn named_datasets(file: &AccessFile) -> impl Iterator<Item = &str> {
    file.grants.iter().flat_map(|grant| &grant.on).filter_map(|on| match on {
        Reach::Dataset(name) => Some(name.as_str()),
        Reach::Project | Reach::Table(_) => None,
    })
}

/// Tables that a file names, which may not exist yet.
fn named_tables(file: &AccessFile) -> impl Iterator<Item = TableId> {
    let granted = file.grants.iter().flat_map(|grant| &grant.on).filter_map(|on| match on {
        Reach::Table(id) => Some(id.clone()),
        Reach::Project | Reach::Dataset(_) => None,
    });
    granted.chain(file.closed.iter().cloned())
}
