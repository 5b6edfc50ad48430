//! `naru access`: what is granted to whom, why, what a change of `access.toml` would do, and letting people go.

use std::{path::PathBuf, sync::Arc};

use clap::Subcommand;
use naru_access::{Policy, Principal, audit::Audit};
use naru_base::{Problem, TableId};
use naru_project::ACCESS_FILE;
use naru_server::{
    api::access::{
        self as api,
        views::{AccessView, ChangeView, OffboardedView, PlanView, WhyView},
    },
    control::Client,
};
use naru_warehouse::Warehouse;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Failure;
use crate::{
    adapters::tables::LiveTables,
    home::{self, Home},
    remote,
    running::{self, access::AccessDesk},
};

/// Look at rights and change them.
#[derive(Debug, Subcommand)]
pub enum Access {
    /// Show what is granted, and everyone who can come in.
    Show {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show which lines of access.toml give someone a table.
    Why {
        /// An e-mail address, service:NAME, token:NAME or domain:NAME.
        who: String,
        /// The table, dataset.table.
        table: String,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show who would gain and who would lose what, against the rights in force.
    Plan {
        /// The file to compare; default: access.toml of the project.
        file: Option<PathBuf>,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Let someone go: end their sessions and tokens, hand over what others need.
    Offboard {
        /// Their e-mail address.
        who: String,
        /// Who answers for their service accounts, shares and schedules from now on.
        #[arg(long, value_name = "WHOM")]
        to: Option<String>,
    },
}

impl Access {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let root = home::find(place)?;
        let client = remote::find(&root).await?;
        match self {
            Self::Show { json } => {
                let view: AccessView = match &client {
                    Some(client) => asked(client, "access.show", json!({})).await?,
                    None => Rest::open(root, false).await?.show().await?,
                };
                if json {
                    return print_json(&view);
                }
                print_rights(&view);
                Ok(())
            }
            Self::Why { who, table, json } => {
                let view: WhyView = match &client {
                    Some(client) => asked(client, "access.why", json!({"who": who, "table": table})).await?,
                    None => Rest::open(root, false).await?.why(&who, &table).await?,
                };
                if json {
                    return print_json(&view);
                }
                print_why(&view);
                Ok(())
            }
            Self::Plan { file, json } => {
                let path = file.unwrap_or_else(|| root.join(ACCESS_FILE));
                let text = std::fs::read_to_string(&path)?;
                let view: PlanView = match &client {
                    Some(client) => asked(client, "access.plan", json!({"text": text})).await?,
                    None => Rest::open(root, true).await?.plan(&text).await?,
                };
                let wrong = !view.wrong.is_empty();
                if json {
                    print_json(&view)?;
                } else {
                    print_plan(&view);
                }
                if wrong { Err(Failure::Said) } else { Ok(()) }
            }
            Self::Offboard { who, to } => {
                let view: OffboardedView = match &client {
                    Some(client) => asked(client, "access.offboard", json!({"who": who, "to": to})).await?,
                    None => Rest::open(root, false).await?.offboard(&who, to.as_deref()).await?,
                };
                print_offboarded(&who, &view);
                Ok(())
            }
        }
    }
}

async fn asked<T: DeserializeOwned>(client: &Client, word: &str, body: Value) -> Result<T, Failure> {
    let answer = remote::call(client, word, &body, |_| {}).await?;
    serde_json::from_value(answer)
        .map_err(|error| Problem::from_error("cli.answer", "the answer was not understood", &error).into())
}

/// The folder while nothing runs.
struct Rest {
    desk: Arc<AccessDesk>,
    warehouse: Warehouse,
}

impl Rest {
    /// With the rights of the file, or with those that were in force when naru last ran.
    async fn open(root: PathBuf, last_run: bool) -> Result<Self, Failure> {
        let home = Home::look(Some(root))?;
        let store = home.store_for_reading()?;
        let lake = home.lake().await?;
        let guard = (Policy::default(), Audit::none());
        let warehouse = running::warehouse(&home, &lake, store.as_ref(), LiveTables::default(), guard)?;
        let store = if store.is_some() { Some(home.store()?) } else { None };
        let desk = if last_run { AccessDesk::as_last_run(&home, store)? } else { AccessDesk::new(&home, store) };
        Ok(Self { desk: Arc::new(desk), warehouse })
    }

    async fn show(&self) -> Result<AccessView, Problem> {
        api::show(self.desk.policy(), &self.warehouse, &*self.desk, &Principal::Owner).await
    }

    async fn why(&self, who: &str, table: &str) -> Result<WhyView, Problem> {
        api::why(self.desk.policy(), &*self.desk, who, &self::table(table)?).await
    }

    async fn plan(&self, text: &str) -> Result<PlanView, Problem> {
        api::plan(self.desk.policy(), &self.warehouse, &*self.desk, text).await
    }

    async fn offboard(&self, who: &str, heir: Option<&str>) -> Result<OffboardedView, Problem> {
        api::offboard(self.desk.policy(), &*self.desk, who, heir).await
    }
}

/// A table's name as it was typed.
pub fn table(text: &str) -> Result<TableId, Problem> {
    text.parse::<TableId>().map_err(|error| {
        Problem::new("cli.table_name", error.to_string()).hint("Write it as dataset.table, for example shop.orders.")
    })
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Problem::from_error("cli.json", "it could not be printed", &error))?;
    println!("{text}");
    Ok(())
}

fn print_rights(view: &AccessView) {
    match &view.file {
        None if view.open => println!("no access.toml and no sign-in: tokens of the project view everything"),
        None => println!("no access.toml: nobody but administrators sees anything"),
        Some(file) => {
            for grant in &file.grants {
                let (to, on) = (grant.to.join(", "), grant.on.join(", "));
                println!("{to}\t{}\t{on}\t{ACCESS_FILE}:{}", grant.can, grant.line);
            }
            for group in &file.groups {
                println!("group:{}\t= {}\t{ACCESS_FILE}:{}", group.name, group.members.join(", "), group.line);
            }
            for table in &file.closed {
                println!("{table}\tclosed");
            }
        }
    }
    for known in &view.known {
        let admin = if known.admin { ", administers the project" } else { "" };
        let state = if known.active { "can come in" } else { "is out" };
        println!("{}\t{state}{admin}", known.who);
    }
    for problem in &view.wrong {
        eprintln!("not in force: {}", problem.summary);
    }
}

fn print_why(view: &WhyView) {
    match &view.role {
        Some(role) => println!("{} may {role} {}", view.who, view.table),
        None => println!("{} may not see {}", view.who, view.table),
    }
    for reason in &view.reasons {
        match (reason.kind.as_str(), &reason.place, &reason.to, &reason.can, &reason.on) {
            ("grant", Some(place), Some(to), Some(can), Some(on)) => {
                let counts = if reason.counts { "" } else { "  (does not count: the table is closed)" };
                println!("  {place}: {to} may {can} {on}{counts}");
            }
            ("admin", ..) => println!("  administers the project"),
            _ => println!("  no access.toml and no sign-in: tokens of the project view everything"),
        }
    }
    if view.reasons.is_empty() {
        println!("  nothing in {ACCESS_FILE} reaches them");
    }
}

fn print_plan(view: &PlanView) {
    for problem in &view.wrong {
        let place = problem.place.as_ref();
        let place = place.map(|at| format!("{}:{}:{}: ", at.file, at.line, at.column)).unwrap_or_default();
        println!("{place}{}", problem.summary);
        problem.hint.iter().for_each(|hint| println!("hint: {hint}"));
    }
    for change in &view.changes {
        println!("{}", change_line(change));
    }
    if view.wrong.is_empty() && view.changes.is_empty() {
        println!("nobody gains or loses anything");
    }
}

fn change_line(change: &ChangeView) -> String {
    let on = if change.all {
        change.dataset.clone()
    } else {
        let more = if change.tables > change.names.len() { ", …" } else { "" };
        let names: Vec<String> = change.names.iter().map(|name| format!("{}.{name}", change.dataset)).collect();
        format!("{}{more}", names.join(", "))
    };
    let verb = if change.loses { "loses" } else { "gains" };
    match (&change.before, &change.after) {
        (Some(before), None) => format!("- {} {verb} {before} on {on}", change.who),
        (None, Some(after)) => format!("+ {} {verb} {after} on {on}", change.who),
        (before, after) => {
            let word = |role: &Option<String>| role.clone().unwrap_or_default();
            let sign = if change.loses { '-' } else { '+' };
            format!("{sign} {} {verb}: {} instead of {} on {on}", change.who, word(after), word(before))
        }
    }
}

fn print_offboarded(who: &str, view: &OffboardedView) {
    println!(
        "{who} is out: {} sessions and {} tokens ended, {} service accounts handed over",
        view.sessions, view.tokens, view.services
    );
    for line in &view.still_named {
        println!("still named at {ACCESS_FILE}:{line}");
    }
}
