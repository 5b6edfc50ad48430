//! The doors of `naru up`: HTTP for health, metrics, events and the console, the Postgres wire, Pub/Sub, the control socket.
//!
//! Owns: opening and closing them in order. Never answers anything itself.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use naru_access::Tokens;
use naru_project::Settings;
use naru_server::{
    Door, Doorway, Listen, Tls,
    control::ControlDoor,
    http::Metrics,
    ingest::{Intake, KeyBook},
};
use naru_topics::subscribe::Subscriptions;
use naru_warehouse::jobs::Jobs;
use serde_json::{Value, json};

use super::{Running, console, control::Commands};
use crate::failure::Failure;

/// How long running commands may finish at the end.
const CONTROL_PATIENCE: Duration = Duration::from_secs(5);

/// Open doors.
pub struct Listeners {
    http: Option<Door>,
    postgres: Option<Door>,
    pubsub: Option<Door>,
    subscriptions: Option<Subscriptions>,
    jobs: Jobs,
    control: ControlDoor,
}

fn listen(address: Option<SocketAddr>) -> Listen {
    address.map_or(Listen::Off, Listen::At)
}

fn tls(settings: &Settings) -> Option<Tls> {
    settings.server.tls.clone().map(|files| Tls { certificate: files.certificate, key: files.key })
}

fn key_book(running: &Running) -> KeyBook {
    let proxies = running.home.project.settings.server.proxies.clone();
    KeyBook { tokens: Tokens::new(running.store.clone()), policy: running.policy.clone(), proxies }
}

impl Listeners {
    /// Opens all doors that the settings name.
    pub async fn open(running: &Arc<Running>, metrics: Metrics) -> Result<Self, Failure> {
        let failed = |error: naru_server::ServerError| Failure::from(error.problem());
        let settings = &running.home.project.settings.server;
        let ready = running.clone();
        let readiness = move || ready.not_ready();
        let intake = running.topics.as_ref().map(|running_topics| {
            Intake::new(
                running_topics.topics.clone(),
                key_book(running),
                running.home.project.settings.intake.clone(),
                &metrics,
            )
        });
        let (subscriptions, pubsub) = Self::open_pubsub(running, listen(settings.pubsub)).await?;
        let signin = console::sign_in(running).await?;
        let pubsub_address = pubsub.as_ref().map(|door| door.address.to_string());
        let queries = console::queries(running)?;
        let jobs = queries.0.jobs.clone();
        let pages = console::router(running, signin.clone(), queries, subscriptions.clone(), pubsub_address);
        let doorway = Doorway::from(listen(settings.http)).with_tls(tls(&running.home.project.settings));
        let doorway = doorway.behind(settings.proxies.clone());
        let http = naru_server::http::serve(doorway, Arc::new(readiness), metrics, intake, Some(pages)).await;
        let http = http.map_err(failed)?;
        let tokens = Arc::new(Tokens::new(running.store.clone()));
        let postgres = naru_server::postgres::serve(listen(settings.postgres), running.warehouse.clone(), tokens)
            .await
            .map_err(failed)?;
        if let Some(door) = &postgres {
            signin.tell_wire(door.address);
        }
        let addresses = json!({
            "http": http.as_ref().map(|door| door.address.to_string()),
            "postgres": postgres.as_ref().map(|door| door.address.to_string()),
            "pubsub": pubsub.as_ref().map(|door| door.address.to_string()),
        });
        let commands = Arc::new(Commands { running: running.clone(), listeners: addresses, signin });
        let root = &running.home.project.root;
        let control = naru_server::control::serve(root, crate::remote::VERSION, running.warehouse.clone(), commands)
            .await
            .map_err(failed)?;
        Ok(Self { http, postgres, pubsub, subscriptions, jobs, control })
    }

    /// Subscriptions are open also when their door is off: they hold the log.
    async fn open_pubsub(running: &Running, listen: Listen) -> Result<(Option<Subscriptions>, Option<Door>), Failure> {
        let Some(topics) = running.topics.as_ref().map(|running_topics| running_topics.topics.clone()) else {
            return Ok((None, None));
        };
        let subscriptions = Subscriptions::open(topics.clone()).await;
        let subscriptions = subscriptions.map_err(|error| Failure::from(error.problem()))?;
        let settings = &running.home.project.settings;
        let keys = (key_book(running), settings.intake.clone());
        let doorway = Doorway::from(listen).with_tls(tls(settings));
        let door = naru_server::pubsub::serve(doorway, topics, subscriptions.clone(), keys).await;
        Ok((Some(subscriptions), door.map_err(|error| Failure::from(error.problem()))?))
    }

    /// Where they listen, for the log.
    pub fn addresses(&self) -> Value {
        json!({
            "http": self.http.as_ref().map(|door| door.address.to_string()),
            "postgres": self.postgres.as_ref().map(|door| door.address.to_string()),
            "pubsub": self.pubsub.as_ref().map(|door| door.address.to_string()),
            "control": self.control.path.display().to_string(),
        })
    }

    /// Closes them: no new work first, the control socket last.
    pub async fn close(self) {
        // Whoever watches a query hears of its end before the door closes.
        self.jobs.close().await;
        if let Some(door) = self.postgres {
            door.close().await;
        }
        if let Some(door) = self.http {
            door.close().await;
        }
        // Streams end with their subscriptions; what was acknowledged is durable then.
        if let Some(subscriptions) = self.subscriptions {
            subscriptions.stop().await;
        }
        if let Some(door) = self.pubsub {
            door.close().await;
        }
        self.control.close(CONTROL_PATIENCE).await;
    }
}
