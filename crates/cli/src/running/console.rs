//! The console, its API and sign-in, put together for the HTTP door.
//!
//! Owns: which room gets which handle. Never answers anything itself.

use std::sync::Arc;

use axum::Router;
use naru_project::SignInSettings;
use naru_server::{
    api::{self, Api, topics::Doors},
    console,
    signin::{self, Options, SignIn},
};
use naru_store::kv;
use naru_topics::subscribe::Subscriptions;

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

/// Everything that browsers ask for.
pub fn router(
    running: &Arc<Running>,
    signin: SignIn,
    subscriptions: Option<Subscriptions>,
    pubsub: Option<String>,
) -> Router {
    let ports = AllPorts::new(running, subscriptions, doors(running, pubsub));
    let api = Api {
        signin: signin.clone(),
        warehouse: running.warehouse.clone(),
        policy: running.policy.clone(),
        audit: running.audit.clone(),
        ports: Arc::new(ports),
    };
    api::with_safe_headers(api::router(api).merge(signin::router(signin)).merge(console::router()))
}

/// Where events come in, for the examples that the console shows. With port 0 only the browser knows the address.
fn doors(running: &Running, pubsub: Option<String>) -> Doors {
    let settings = &running.home.project.settings;
    let scheme = if settings.server.tls.is_some() { "https" } else { "http" };
    let listening = settings.server.http.filter(|address| address.port() != 0).map(|it| format!("{scheme}://{it}"));
    let named = settings.sign_in.as_ref().map(|settings| settings.url.to_string());
    Doors { http: named.or(listening), pubsub, project: settings.name.clone() }
}
