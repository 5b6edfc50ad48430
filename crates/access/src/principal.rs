//! Who asks, and what they may do.
//!
//! Owns: [`Principal`], [`Action`] and the one function [`decide`] below every door. A pure function: it looks
//! nothing up, so that every door and every test asks it the same way.

use std::fmt;

use naru_base::{Problem, TableId};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// The person whose folder it is, over the socket that only they can open, or with nothing running.
    Owner,
    /// A schedule or another part of naru acting for the project.
    Project,
    /// The holder of a token.
    Token {
        /// The token's number.
        id: i64,
        /// The token's name.
        name: String,
        /// Whose it is.
        owner: String,
    },
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str("the project's owner"),
            Self::Project => f.write_str("the project"),
            Self::Token { name, .. } => f.write_str(name),
        }
    }
}

/// What someone wants to do with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See that it exists, its columns, and its rows.
    View,
    /// Change its rows or definition through SQL.
    Change,
    /// Build it now: run, resume, backfill a mart.
    Run,
    /// Pause, resume, resync, compact, vacuum.
    Operate,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::View => "view",
            Self::Change => "change",
            Self::Run => "run",
            Self::Operate => "operate",
        })
    }
}

/// What [`decide`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// Refuse, with this problem.
    Deny(Box<Problem>),
}

impl Decision {
    /// `Ok` when allowed.
    pub fn into_result(self) -> Result<(), Box<Problem>> {
        match self {
            Self::Allow => Ok(()),
            Self::Deny(problem) => Err(problem),
        }
    }
}

/// Decides whether someone may do something with a table. The owner and the project may do everything; a token of
/// the project may view every table and nothing else.
pub fn decide(principal: &Principal, action: Action, table: &TableId) -> Decision {
    match (principal, action) {
        (Principal::Owner | Principal::Project, _) | (Principal::Token { .. }, Action::View) => Decision::Allow,
        (Principal::Token { name, .. }, Action::Change | Action::Run | Action::Operate) => Decision::Deny(Box::new(
            Problem::new("access.denied", format!("{name} may not {action} {table}"))
                .detail("Tokens of a project may view its tables.")
                .hint("Ask the project's owner to do it in the project folder."),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_views_everything_and_changes_nothing() {
        let table = TableId::new("shop", "orders");
        let token = Principal::Token { id: 1, name: "bi".into(), owner: "kim".into() };
        for action in [Action::View, Action::Change, Action::Run, Action::Operate] {
            assert_eq!(decide(&Principal::Owner, action, &table), Decision::Allow);
            assert_eq!(decide(&Principal::Project, action, &table), Decision::Allow);
            assert_eq!(decide(&token, action, &table) == Decision::Allow, action == Action::View);
        }
        let denied = decide(&token, Action::Run, &table).into_result().unwrap_err();
        assert_eq!(denied.summary, "bi may not run shop.orders");
    }
}
