//! What `access.toml` says, compiled: the one decision below every door.
//!
//! Owns: [`Rights`] (immutable, swapped whole), [`Visible`] (what one principal can do, merged once), [`Policy`] (the
//! handle that doors keep). Looks nothing up and never waits, so every door and every test asks it the same way.
//! Read next: [`crate::why`] for the sentences, `naru_project::AccessFile` for the file.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use naru_base::{Problem, TableId};
use naru_project::{AccessFile, Grantee, Reach, Role};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::principal::{Action, Decision, Principal};

/// The dataset that holds naru's own tables. Grants on `*` do not reach it.
pub const OWN_DATASET: &str = "naru";

/// Merged sets that are kept; beyond it they are merged again when asked for.
const VISIBLE_KEPT_MAX: usize = 1_000;

/// What a project has said about its people.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// `access.toml`; `None` where there is none.
    pub file: Option<AccessFile>,
    /// Whether people sign in.
    pub sign_in: bool,
    /// E-mail addresses that `naru.toml` makes administrators.
    pub admins: Vec<String>,
}

/// Everything that may be done by whom, at one moment.
#[derive(Debug, Default)]
pub struct Rights {
    /// Neither sign-in nor `access.toml`: tokens of the project view everything.
    open: bool,
    file: AccessFile,
    admins: HashSet<String>,
    /// Groups by the address of a member.
    groups_of: HashMap<String, Vec<String>>,
    /// What is granted to each.
    granted: HashMap<Grantee, Vec<Granted>>,
    closed: Arc<HashSet<TableId>>,
    visible: Mutex<HashMap<String, Arc<Visible>>>,
}

/// One role on one thing, and the grant of the file that says so.
#[derive(Debug, Clone)]
struct Granted {
    can: Role,
    on: Reach,
}

/// What one principal may do, merged from all that reaches them.
#[derive(Debug, Clone, Default)]
pub struct Visible {
    everything: bool,
    project: Option<Role>,
    datasets: HashMap<String, Role>,
    tables: HashMap<String, HashMap<String, Role>>,
    closed: Arc<HashSet<TableId>>,
}

impl Visible {
    /// The most that they may do with a table; `None` when it is not there for them.
    pub fn role(&self, table: &TableId) -> Option<Role> {
        if self.everything {
            return Some(Role::Own);
        }
        let own = self.tables.get(&table.dataset).and_then(|tables| tables.get(&table.table)).copied();
        if !self.closed.is_empty() && self.closed.contains(table) {
            return own;
        }
        own.max(self.datasets.get(&table.dataset).copied()).max(self.project_role(&table.dataset))
    }

    /// Whether a table is there for them.
    pub fn table(&self, table: &TableId) -> bool {
        self.role(table).is_some()
    }

    /// Whether a dataset, or something in it, is there for them.
    pub fn dataset(&self, name: &str) -> bool {
        self.everything
            || self.datasets.contains_key(name)
            || self.tables.contains_key(name)
            || self.project_role(name).is_some()
    }

    /// Whether everything is there for them.
    pub fn everything(&self) -> bool {
        self.everything
    }

    fn project_role(&self, dataset: &str) -> Option<Role> {
        if dataset == OWN_DATASET { None } else { self.project }
    }

    fn add(&mut self, granted: &Granted) {
        let role = granted.can;
        match &granted.on {
            Reach::Project => self.project = self.project.max(Some(role)),
            Reach::Dataset(name) => raise(&mut self.datasets, name, role),
            Reach::Table(id) => raise(self.tables.entry(id.dataset.clone()).or_default(), &id.table, role),
        }
    }
}

fn raise(roles: &mut HashMap<String, Role>, name: &str, role: Role) {
    match roles.get_mut(name) {
        Some(known) => *known = role.max(*known),
        None => {
            roles.insert(name.to_owned(), role);
        }
    }
}

impl Rights {
    /// Compiles what a project has said.
    pub fn new(terms: Terms) -> Self {
        let open = terms.file.is_none() && !terms.sign_in;
        let file = terms.file.unwrap_or_default();
        let mut rights = Self { open, ..Self::default() };
        rights.admins = terms.admins.iter().map(|address| address.trim().to_lowercase()).collect();
        for (name, group) in &file.groups {
            for member in &group.members {
                rights.groups_of.entry(member.clone()).or_default().push(name.clone());
            }
        }
        for grant in &file.grants {
            for to in &grant.to {
                let granted = rights.granted.entry(to.clone()).or_default();
                granted.extend(grant.on.iter().map(|on| Granted { can: grant.can, on: on.clone() }));
            }
        }
        rights.closed = Arc::new(file.closed.iter().cloned().collect());
        rights.file = file;
        rights
    }

    /// As it is without sign-in and without `access.toml`: the folder's owner does everything, tokens of the project
    /// view everything.
    pub fn open() -> Self {
        Self::new(Terms::default())
    }

    /// The file that they were compiled from; empty where there is none.
    pub fn file(&self) -> &AccessFile {
        &self.file
    }

    /// Addresses that `naru.toml` makes administrators.
    pub fn admins(&self) -> Vec<String> {
        let mut admins: Vec<String> = self.admins.iter().cloned().collect();
        admins.sort();
        admins
    }

    /// Whether there is neither sign-in nor `access.toml`.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether someone administers the project: has its folder, is named in `naru.toml`, or owns all of it.
    pub fn admin(&self, principal: &Principal) -> bool {
        let named = match principal {
            Principal::Owner | Principal::Project => true,
            Principal::Person(account) => self.admins.contains(&account.name.to_lowercase()),
            Principal::Service(_) | Principal::Token { .. } => false,
        };
        named
            || self
                .names(principal)
                .iter()
                .filter_map(|name| self.granted.get(name))
                .flatten()
                .any(|granted| granted.can == Role::Own && granted.on == Reach::Project)
    }

    /// Under which names `access.toml` may grant something to someone.
    pub fn names(&self, principal: &Principal) -> Vec<Grantee> {
        match principal {
            Principal::Owner | Principal::Project => Vec::new(),
            Principal::Person(account) => {
                let address = account.name.to_lowercase();
                let groups = self.groups_of.get(&address).into_iter().flatten().cloned().map(Grantee::Group);
                let domain = account.domain.as_ref().map(|domain| Grantee::Domain(domain.to_lowercase()));
                groups.chain(domain).chain([Grantee::Person(address.clone())]).collect()
            }
            Principal::Service(account) => vec![Grantee::Service(account.name.clone())],
            Principal::Token { name, .. } => vec![Grantee::Token(name.clone())],
        }
    }

    /// What someone may do, for asking it about many tables. Merged once for each set of rights.
    pub fn visible(&self, principal: &Principal) -> Arc<Visible> {
        let key = match principal {
            Principal::Owner | Principal::Project => String::new(),
            // An account's company is part of what it may see.
            Principal::Person(account) => {
                format!("person:{} {}", account.name.to_lowercase(), account.domain.as_deref().unwrap_or_default())
            }
            Principal::Service(account) => format!("service:{}", account.name),
            Principal::Token { name, .. } => format!("token:{name}"),
        };
        let known = self.visible.lock().get(&key).cloned();
        known.unwrap_or_else(|| {
            let merged = Arc::new(self.merge(principal));
            let mut kept = self.visible.lock();
            if kept.len() >= VISIBLE_KEPT_MAX {
                kept.clear();
            }
            kept.insert(key, merged.clone());
            merged
        })
    }

    fn merge(&self, principal: &Principal) -> Visible {
        let mut visible = Visible { everything: self.admin(principal), ..Visible::default() };
        if self.open && matches!(principal, Principal::Token { .. }) {
            visible.project = Some(Role::View);
        }
        for name in self.names(principal) {
            self.granted.get(&name).into_iter().flatten().for_each(|granted| visible.add(granted));
        }
        visible.closed = self.closed.clone();
        visible
    }

    /// Decides whether someone may do something with a table.
    pub fn decide(&self, principal: &Principal, action: Action, table: &TableId) -> Decision {
        match self.visible(principal).role(table) {
            Some(role) if role >= action.needs() => Decision::Allow,
            Some(_) => Decision::Deny(Box::new(denied(principal, action, &table.to_string()))),
            None => Decision::Hidden,
        }
    }

    /// Decides whether someone may do something with a whole dataset, for example with a source that writes to it.
    pub fn decide_dataset(&self, principal: &Principal, action: Action, dataset: &str) -> Decision {
        let visible = self.visible(principal);
        let role = if visible.everything {
            Some(Role::Own)
        } else {
            visible.datasets.get(dataset).copied().max(visible.project_role(dataset))
        };
        match role {
            Some(role) if role >= action.needs() => Decision::Allow,
            _ if visible.dataset(dataset) => Decision::Deny(Box::new(denied(principal, action, dataset))),
            _ => Decision::Hidden,
        }
    }
}

fn denied(principal: &Principal, action: Action, what: &str) -> Problem {
    Problem::new("access.denied", format!("{principal} may not {action} {what}"))
        .detail(format!("It needs the right to {} it.", action.needs()))
        .hint("Ask someone who administers the project; `naru access why WHO TABLE` shows what is granted now.")
}

/// The rights that hold now. Cheap to clone; all clones change together.
#[derive(Debug, Clone)]
pub struct Policy(Arc<Holding>);

#[derive(Debug)]
struct Holding {
    now: RwLock<Arc<Rights>>,
    changed: watch::Sender<u64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self::new(Rights::open())
    }
}

impl Policy {
    /// A policy with these rights.
    pub fn new(rights: Rights) -> Self {
        Self(Arc::new(Holding { now: RwLock::new(Arc::new(rights)), changed: watch::Sender::new(0) }))
    }

    /// The rights that hold now; a statement asks once and stays with the answer.
    pub fn now(&self) -> Arc<Rights> {
        self.0.now.read().clone()
    }

    /// Puts other rights in force for everything that starts from now on, and tells whoever waits for a change.
    pub fn replace(&self, rights: Rights) {
        *self.0.now.write() = Arc::new(rights);
        self.0.changed.send_modify(|count| *count += 1);
    }

    /// Hears of every change after this call.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Whether someone administers the project.
    pub fn admin(&self, principal: &Principal) -> bool {
        self.now().admin(principal)
    }
}
