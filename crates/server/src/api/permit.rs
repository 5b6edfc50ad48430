//! The answer to someone who may not, and the record of what somebody did who may.
//!
//! Owns: the status of each decision: what is hidden answers as what does not exist, what is seen and not allowed says
//! so; writing deeds into the audit, also those that failed and those whose asker hung up; and what a token cannot do.

use naru_access::{
    Decision,
    audit::{Deed, Entry},
};
use naru_base::{Problem, TableId};

use super::{Api, ApiProblem};
use crate::signin::caller::{Caller, Via};

/// `Ok` when allowed; `not_there` makes the answer for an object that does not exist.
///
/// # Errors
/// 403 for a refusal, 404 for what is not there for the caller.
pub fn permit(decision: Decision, not_there: impl FnOnce() -> Problem) -> Result<(), ApiProblem> {
    match decision {
        Decision::Allow => Ok(()),
        Decision::Deny(problem) => Err(ApiProblem::forbidden(*problem)),
        Decision::Hidden => Err(ApiProblem::not_found(not_there())),
    }
}

/// `Ok` for somebody who signed in: what opens the project to others takes more than a token that was found.
///
/// # Errors
/// `access.session_only`.
pub fn in_person(caller: &Caller) -> Result<(), ApiProblem> {
    match caller.via {
        Via::Session { .. } => Ok(()),
        Via::Token { .. } => {
            let problem = Problem::new("access.session_only", "a token cannot do this");
            Err(ApiProblem::forbidden(problem.hint("Sign in to the console.")))
        }
    }
}

/// Does something that changes more than the caller's own, and writes it down with how it ended.
///
/// # Errors
/// Those of `doing`; nothing is done when the audit takes no entry.
pub async fn noted<T>(
    api: &Api,
    caller: &Caller,
    deed: Deed,
    what: String,
    tables: impl IntoIterator<Item = TableId>,
    doing: impl Future<Output = Result<T, ApiProblem>>,
) -> Result<T, ApiProblem> {
    let entry = Entry::new(&caller.principal, caller.origin(), deed).detail(what).tables(tables);
    let begun = api.audit.place(&caller.principal).await?.begin(entry);
    let outcome = doing.await;
    begun.ended(&outcome.as_ref().map_err(|ApiProblem(problem, _)| problem.clone()));
    outcome
}
