//! Who asks, what they want, and the answer.
//!
//! Owns: [`Principal`], [`Account`], [`Action`], [`Decision`]. Never decides; that is [`crate::Rights`].

use std::{fmt, sync::Arc};

use naru_base::Problem;
use naru_project::Role;

/// A person or a service that naru knows by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Counted from 1.
    pub id: i64,
    /// A person's e-mail address in small letters, or a service's name.
    pub name: String,
    /// The name that people call it by.
    pub shown: String,
    /// The company's domain that the provider vouches for; `None` for services and for addresses outside a company.
    pub domain: Option<String>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// The person whose folder it is, over the socket that only they can open, or with nothing running.
    Owner,
    /// A schedule or another part of naru acting for the project.
    Project,
    /// Someone who signed in, or who sends a personal token.
    Person(Arc<Account>),
    /// A service account, by its token.
    Service(Arc<Account>),
    /// The holder of a token of the project, which no account stands behind.
    Token {
        /// The token's number.
        id: i64,
        /// The token's name.
        name: String,
        /// Whose it is.
        owner: String,
    },
}

impl Principal {
    /// The name under which `access.toml` and the audit know them.
    pub fn name(&self) -> &str {
        match self {
            Self::Owner => "the project's owner",
            Self::Project => "the project",
            Self::Person(account) | Self::Service(account) => &account.name,
            Self::Token { name, .. } => name,
        }
    }

    /// Whether it is naru's own side of the fence: whoever has the folder, and what runs for it.
    pub fn holds_the_folder(&self) -> bool {
        matches!(self, Self::Owner | Self::Project)
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What someone wants to do with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See that it exists, its columns, and its rows.
    View,
    /// Change its rows or definition.
    Change,
    /// Build it now: run, resume, backfill a mart; replay its dead letters.
    Run,
    /// Pause, resume, resync, compact, vacuum.
    Operate,
    /// Delete it, and say who may see it.
    Own,
}

impl Action {
    /// Every action, the least first.
    pub const ALL: [Self; 5] = [Self::View, Self::Change, Self::Run, Self::Operate, Self::Own];

    /// The least that `access.toml` has to grant for it.
    pub fn needs(self) -> Role {
        match self {
            Self::View => Role::View,
            Self::Change | Self::Run => Role::Edit,
            Self::Operate | Self::Own => Role::Own,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::View => "view",
            Self::Change => "change",
            Self::Run => "run",
            Self::Operate => "operate",
            Self::Own => "own",
        })
    }
}

/// What [`crate::Rights::decide`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// Refuse, with this problem: they see the object, and may not do this to it.
    Deny(Box<Problem>),
    /// Answer as if there were no such object, in the very words used for one that does not exist.
    Hidden,
}

impl Decision {
    /// `Ok` when allowed. `not_there` makes the door's answer for an object that does not exist, which is also the
    /// answer for one that must stay hidden.
    ///
    /// # Errors
    /// The refusal, or what `not_there` gives.
    pub fn or_not_there(self, not_there: impl FnOnce() -> Problem) -> Result<(), Problem> {
        match self {
            Self::Allow => Ok(()),
            Self::Deny(problem) => Err(*problem),
            Self::Hidden => Err(not_there()),
        }
    }
}
