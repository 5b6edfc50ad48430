//! Why someone may do something with a table, or may not.
//!
//! Owns: [`Rights::why`]: every rule that reaches someone, with its place in `access.toml`. Never decides: the sum of
//! what is found here is what [`Rights::decide`] says, which a test holds.

use naru_base::{Place, TableId};
use naru_project::{Grantee, Reach, Role};

use crate::{
    principal::Principal,
    rights::{OWN_DATASET, Rights},
};

/// One rule that reaches someone for a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// They administer the project: they have its folder, `naru.toml` names them, or they own all of it.
    Admin,
    /// There is neither sign-in nor `access.toml`, and it is a token of the project.
    Open,
    /// A grant.
    Grant {
        /// The name under which it reaches them.
        to: Grantee,
        /// What it gives.
        can: Role,
        /// On what.
        on: Reach,
        /// Where it stands.
        place: Place,
        /// Whether it counts: a closed table is reached only by grants on the table itself.
        counts: bool,
    },
}

/// Everything that is said about one person and one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The most that they may do; `None` when the table is not there for them.
    pub role: Option<Role>,
    /// Rules that reach them.
    pub reasons: Vec<Reason>,
    /// Whether the table is closed to what its dataset and the project grant.
    pub closed: bool,
}

impl Rights {
    /// Every rule of the file that reaches a table, whoever it is for.
    pub fn rules(&self, table: &TableId) -> Vec<Reason> {
        let closed = self.file().closed.contains(table);
        let mut rules = Vec::new();
        for grant in &self.file().grants {
            for on in grant.on.iter().filter(|on| reaches(on, table)) {
                let counts = !closed || matches!(on, Reach::Table(_));
                rules.extend(grant.to.iter().map(|to| Reason::Grant {
                    to: to.clone(),
                    can: grant.can,
                    on: on.clone(),
                    place: grant.place.clone(),
                    counts,
                }));
            }
        }
        rules
    }

    /// Every rule that reaches someone for a table, in the order of the file.
    pub fn why(&self, principal: &Principal, table: &TableId) -> Why {
        let closed = self.file().closed.contains(table);
        let mut reasons = Vec::new();
        if self.admin(principal) {
            reasons.push(Reason::Admin);
        }
        if self.is_open() && matches!(principal, Principal::Token { .. }) && table.dataset != OWN_DATASET {
            reasons.push(Reason::Open);
        }
        let names = self.names(principal);
        let theirs = |rule: &Reason| matches!(rule, Reason::Grant { to, .. } if names.contains(to));
        reasons.extend(self.rules(table).into_iter().filter(theirs));
        Why { role: self.visible(principal).role(table), reasons, closed }
    }
}

fn reaches(on: &Reach, table: &TableId) -> bool {
    match on {
        Reach::Project => table.dataset != OWN_DATASET,
        Reach::Dataset(name) => *name == table.dataset,
        Reach::Table(id) => id == table,
    }
}
