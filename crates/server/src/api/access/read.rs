//! Reading rights.
//!
//! Owns: what is told to whom. Never tells more of a hidden table than of one that does not exist.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Query, State},
};
use naru_access::{
    Action, Decision, Grantee, Policy, Principal, Rights, Role,
    compare::{compare, stand_in},
    why::Why,
};
use naru_base::{Problem, TableId};
use naru_warehouse::Warehouse;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    AccessPort, Desk, Known, all_tables,
    views::{
        self, AccessView, ChangeView, FileView, GrantView, GroupView, KnownView, MineView, PlanView, ReasonView,
        WhoView, WhyView,
    },
};
use crate::{
    api::{
        Api, ApiProblem,
        views::{ProblemView, time_text},
    },
    signin::caller::Caller,
};

/// About whom and what.
#[derive(Debug, Deserialize, IntoParams)]
pub struct AskedWhy {
    /// The table.
    table: String,
    /// Who, as `access.toml` names them, or an e-mail address; the caller unless given.
    who: Option<String>,
}

/// About what.
#[derive(Debug, Deserialize, IntoParams)]
pub struct AskedWho {
    /// The table.
    table: String,
}

/// What the caller may do; to administrators also what everyone may.
#[utoipa::path(get, path = "/api/v1/access", tag = "access", responses((status = 200, body = AccessView)))]
pub async fn access(State(api): State<Api>, caller: Caller) -> Result<Json<AccessView>, ApiProblem> {
    let desk = Desk::of(&api);
    Ok(Json(show(desk.policy, desk.warehouse, desk.port, &caller.principal).await?))
}

/// Why someone may do something with a table, or may not.
#[utoipa::path(get, path = "/api/v1/access/why", tag = "access", params(AskedWhy),
    responses((status = 200, body = WhyView)))]
pub async fn access_why(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<AskedWhy>,
) -> Result<Json<WhyView>, ApiProblem> {
    let table = table_id(&asked.table)?;
    let Some(who) = asked.who else {
        let there = all_tables(&api.warehouse).await?.contains(&table);
        let why = told(&api.policy.now(), &caller.principal, &table, there);
        return Ok(Json(WhyView::of(views::name(&caller.principal), table.to_string(), why)));
    };
    api.must_admin(&caller)?;
    Ok(Json(why(&api.policy, Desk::of(&api).port, &who, &table).await?))
}

/// Who may do what with a table; for those who own it.
#[utoipa::path(get, path = "/api/v1/access/who", tag = "access", params(AskedWho),
    responses((status = 200, body = WhoView)))]
pub async fn access_who(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<AskedWho>,
) -> Result<Json<WhoView>, ApiProblem> {
    let table = table_id(&asked.table)?;
    let rights = api.policy.now();
    match rights.decide(&caller.principal, Action::Own, &table) {
        Decision::Allow => {}
        Decision::Deny(problem) => return Err(ApiProblem::forbidden(*problem)),
        Decision::Hidden => return Err(ApiProblem::not_found(no_such_table(&table))),
    }
    let rules = rights.rules(&table).into_iter().map(ReasonView::of).collect();
    Ok(Json(WhoView { table: table.to_string(), rules }))
}

fn no_such_table(table: &TableId) -> Problem {
    Problem::new("access.no_such_table", format!("there is no table {table}"))
}

fn table_id(text: &str) -> Result<TableId, Problem> {
    text.parse::<TableId>().map_err(|error| {
        Problem::new("access.table_name", error.to_string()).hint("Write it as dataset.table, for example shop.orders.")
    })
}

/// The reasons that someone may hear of themselves: for a table that is not there, none.
fn told(rights: &Rights, principal: &Principal, table: &TableId, there: bool) -> Why {
    let why = rights.why(principal, table);
    if there && why.role.is_some() { why } else { Why { role: None, reasons: Vec::new(), closed: false } }
}

/// Why someone may do something with a table. `who` is a name as in `access.toml`, or an e-mail address.
///
/// # Errors
/// A name that is none, or the state database.
pub async fn why(policy: &Policy, port: &dyn AccessPort, who: &str, table: &TableId) -> Result<WhyView, Problem> {
    let principal = principal(port, who).await?;
    let why = policy.now().why(&principal, table);
    Ok(WhyView::of(views::name(&principal), table.to_string(), why))
}

/// Someone by name: as naru knows them, else as the file would.
async fn principal(port: &dyn AccessPort, who: &str) -> Result<Principal, Problem> {
    let bad = || {
        Problem::new("access.who", format!("\"{who}\" is nobody"))
            .hint("Write an e-mail address, service:NAME, token:NAME or domain:NAME.")
    };
    let grantee = match who.split_once(':') {
        Some(("person", name)) => Grantee::Person(name.to_lowercase()),
        Some(("domain", name)) => Grantee::Domain(name.to_lowercase()),
        Some(("service", name)) => Grantee::Service(name.to_owned()),
        Some(("token", name)) => Grantee::Token(name.to_owned()),
        None if who.contains('@') => Grantee::Person(who.to_lowercase()),
        _ => return Err(bad()),
    };
    let known = port.known().await?;
    let found = known.into_iter().map(|known| known.principal);
    let found = found.into_iter().find(|known| naru_access::compare::grantee(known).as_ref() == Some(&grantee));
    found.or_else(|| stand_in(&grantee)).ok_or_else(bad)
}

/// Everything that someone may know of rights.
///
/// # Errors
/// The lake or the state database.
pub async fn show(
    policy: &Policy,
    warehouse: &Warehouse,
    port: &dyn AccessPort,
    principal: &Principal,
) -> Result<AccessView, Problem> {
    let rights = policy.now();
    let (admin, visible) = (rights.admin(principal), rights.visible(principal));
    let mut mine: BTreeMap<String, (Role, usize)> = BTreeMap::new();
    for table in all_tables(warehouse).await? {
        let Some(role) = visible.role(&table) else { continue };
        let (most, count) = mine.entry(table.dataset).or_insert((role, 0));
        (*most, *count) = (role.max(*most), *count + 1);
    }
    let mine = mine.into_iter().map(|(dataset, (role, tables))| MineView { dataset, role: role.to_string(), tables });
    let known = if admin { port.known().await? } else { Vec::new() };
    Ok(AccessView {
        as_of: time_text(naru_base::time::now_us()),
        admin,
        open: rights.is_open(),
        mine: mine.collect(),
        file: if admin { port.text().map(|text| file(text, &rights)) } else { None },
        wrong: if admin { port.wrong().iter().map(ProblemView::of).collect() } else { Vec::new() },
        known: known.into_iter().filter_map(|known| known_view(&rights, known)).collect(),
    })
}

fn known_view(rights: &Rights, known: Known) -> Option<KnownView> {
    let (kind, shown) = match &known.principal {
        Principal::Owner | Principal::Project => return None,
        Principal::Person(account) => ("person", account.shown.clone()),
        Principal::Service(account) => ("service", account.shown.clone()),
        Principal::Token { name, .. } => ("token", name.clone()),
    };
    let admin = rights.admin(&known.principal);
    let who = views::name(&known.principal);
    Some(KnownView { who, shown, kind: kind.to_owned(), active: known.active, admin })
}

fn file(text: String, rights: &Rights) -> FileView {
    let file = rights.file();
    let groups = file.groups.iter().map(|(name, group)| GroupView {
        name: name.clone(),
        members: group.members.clone(),
        line: group.place.line,
    });
    let grants = file.grants.iter().map(|grant| GrantView {
        to: grant.to.iter().map(ToString::to_string).collect(),
        can: grant.can.to_string(),
        on: grant.on.iter().map(ToString::to_string).collect(),
        line: grant.place.line,
    });
    FileView {
        text,
        groups: groups.collect(),
        grants: grants.collect(),
        closed: file.closed.iter().map(ToString::to_string).collect(),
        admins: rights.admins(),
    }
}

/// Who would gain and lose what with another text of `access.toml`.
///
/// # Errors
/// The lake or the state database; mistakes in the text are part of the answer.
pub async fn plan(
    policy: &Policy,
    warehouse: &Warehouse,
    port: &dyn AccessPort,
    text: &str,
) -> Result<PlanView, Problem> {
    let after = match port.rights(text) {
        Ok(after) => after,
        Err(wrong) => {
            return Ok(PlanView { wrong: wrong.iter().map(ProblemView::of).collect(), ..PlanView::default() });
        }
    };
    let known: Vec<Principal> = port.known().await?.into_iter().map(|known| known.principal).collect();
    let changes = compare(&policy.now(), &after, &known, &all_tables(warehouse).await?);
    Ok(PlanView { changes: changes.into_iter().map(ChangeView::of).collect(), wrong: Vec::new() })
}

/// Whether a rule names someone by themselves.
pub(super) fn names(rights: &Rights, address: &str) -> Vec<usize> {
    let grantee = Grantee::Person(address.to_lowercase());
    let grants = rights.file().grants.iter().filter(|grant| grant.to.contains(&grantee)).map(|grant| grant.place.line);
    let member = |members: &[String]| members.iter().any(|member| *member == address.to_lowercase());
    let groups = rights.file().groups.values().filter(|group| member(&group.members)).map(|group| group.place.line);
    let mut lines: Vec<usize> = grants.chain(groups).collect();
    lines.sort_unstable();
    lines
}

#[cfg(test)]
mod tests {
    use naru_access::{AccessFile, Terms};
    use naru_project::Environment;

    use super::*;

    #[test]
    fn why_says_the_same_of_a_closed_table_and_of_one_that_is_not_there() {
        let text = "closed = [\"hr.pay\"]\n[[grants]]\nto = \"token:bi\"\ncan = \"view\"\non = \"hr\"\n";
        let file = AccessFile::parse(text, &Environment::default()).unwrap();
        let rights = Rights::new(Terms { file: Some(file), sign_in: true, ..Terms::default() });
        let bi = Principal::Token { id: 1, name: "bi".into(), owner: "bi".into() };
        let said = |table: &str, there: bool| told(&rights, &bi, &TableId::new("hr", table), there);
        let nothing = Why { role: None, reasons: Vec::new(), closed: false };
        assert_eq!(said("pay", true), nothing);
        assert_eq!(said("pax", false), nothing);
        assert!(said("people", true).role.is_some());
    }
}
