//! The console, its API and sign-in, put together for the HTTP door.
//!
//! Owns: which room gets which handle. Never answers anything itself.

use std::sync::Arc;

use naru_project::SignInSettings;
use naru_server::{
    Router,
    api::{
        self, Api,
        queries::Queries,
        shares::{self, Google, GoogleSettings, Shares},
        topics::Doors,
    },
    console,
    signin::{self, Options, SignIn},
};
use naru_store::kv;
use naru_topics::subscribe::Subscriptions;
use naru_warehouse::jobs::{JobSettings, Keep, Lanes};

use super::{Running, ports::AllPorts};
use crate::failure::Failure;

/// How people come into a running naru.
pub async fn sign_in(running: &Running) -> Result<SignIn, Failure> {
    let settings = &running.home.project.settings;
    let project_id = running.store.write(|tx| kv::project_id(tx)).await;
    let options = Options {
        project: settings.name.clone(),
        project_id: project_id.map_err(|error| Failure::from(error.problem()))?,
        sign_in: settings.sign_in.clone(),
        proxies: settings.server.proxies.clone(),
        secure: settings.sign_in.as_ref().map_or(settings.server.tls.is_some(), SignInSettings::is_secure),
    };
    Ok(SignIn::new(&running.store, running.audit.clone(), options)?)
}

/// Queries as jobs, and what leaves them for spreadsheets.
pub fn queries(running: &Running) -> Result<(Queries, Shares), Failure> {
    let settings = &running.home.project.settings;
    let sql = &settings.sql;
    let mut chosen = JobSettings::new(running.home.state()?.join("results"));
    chosen.lanes = Lanes { all: sql.queries, person: sql.queries_per_person };
    chosen.keep = Keep { rows: sql.result_rows, bytes: sql.result_bytes };
    chosen.bytes_max = sql.results;
    let queries = Queries::open(running.warehouse.clone(), running.store.clone(), chosen, settings.audit.ask_why)?;
    let google = settings.sheets.as_ref().map(|sheets| {
        let mut google = GoogleSettings::new(sheets.key.clone());
        google.endpoint = sheets.endpoint.clone().unwrap_or(google.endpoint);
        Google::open(&google)
    });
    let (policy, audit, zone) = (running.policy.clone(), running.audit.clone(), settings.timezone.clone());
    let shares = Shares::new(queries.clone(), policy, audit, zone, google.transpose()?);
    tokio::spawn(shares.clone().follow_schedules(running.stop.clone()));
    Ok((queries, shares))
}

/// Everything that browsers ask for.
pub fn router(
    running: &Arc<Running>,
    signin: SignIn,
    (queries, shares): (Queries, Shares),
    subscriptions: Option<Subscriptions>,
    pubsub: Option<String>,
) -> Router {
    let links = shares::door(shares.clone());
    let ports = AllPorts::new(running, subscriptions, doors(running, pubsub));
    let api = Api {
        signin: signin.clone(),
        warehouse: running.warehouse.clone(),
        policy: running.policy.clone(),
        audit: running.audit.clone(),
        queries,
        shares,
        ports: Arc::new(ports),
    };
    api::with_safe_headers(api::router(api).merge(links).merge(signin::router(signin)).merge(console::router()))
}

/// Where events come in, for the examples that the console shows. With port 0 only the browser knows the address.
fn doors(running: &Running, pubsub: Option<String>) -> Doors {
    let settings = &running.home.project.settings;
    let scheme = if settings.server.tls.is_some() { "https" } else { "http" };
    let listening = settings.server.http.filter(|address| address.port() != 0).map(|it| format!("{scheme}://{it}"));
    let named = settings.sign_in.as_ref().map(|settings| settings.url.to_string());
    Doors { http: named.or(listening), pubsub, project: settings.name.clone() }
}
