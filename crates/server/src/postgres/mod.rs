//! The Postgres wire: psql, psycopg, SQLAlchemy and BI tools connect as to a PostgreSQL.
//!
//! Queries are GoogleSQL; only those that read PostgreSQL's own catalog are answered by the warehouse's
//! `postgres_catalog`, in PostgreSQL's dialect. Owns: the protocol, sign-in, types on the wire, SQLSTATEs, cancelling.
//! Never does: deciding who a token belongs to ([`Tokens`]), running queries (the warehouse).
//! Next: `startup` for sign-in, `handler` for queries.

mod command;
mod copy;
mod cursor;
mod encode;
mod handler;
mod params;
mod placeholders;
mod problem;
mod settings;
mod startup;
mod types;

use std::{net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use naru_access::{Entry, Scope};
use naru_base::Problem;
use naru_warehouse::Warehouse;
use pgwire::tokio::process_socket;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Door, Listen, ServerError};

/// Most connections at the same time; one more is refused by closing it.
const CONNECTIONS_MAX: usize = 200;

/// How long a connection whose token was revoked may go on with what it is doing; a new statement ends it at once.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Who may come in.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Whom a token stands for; `None` when user and token do not fit, or it may not come from there.
    async fn enter(&self, user: &str, token: &str, from: Option<IpAddr>) -> Result<Option<Entry>, Problem>;

    /// Whether someone who came in by a token, of which this is the number, may stay. Asked before each statement, and
    /// of every open connection each [`SWEEP_EVERY`].
    async fn stands(&self, token: i64) -> Result<bool, Problem>;
}

#[async_trait]
impl Tokens for naru_access::Tokens {
    async fn enter(&self, user: &str, token: &str, from: Option<IpAddr>) -> Result<Option<Entry>, Problem> {
        let entry = Self::enter(self, Some(user), token, from).await.map_err(|error| error.problem())?;
        Ok(entry.filter(|entry| entry.is_for(&Scope::Query)))
    }

    async fn stands(&self, token: i64) -> Result<bool, Problem> {
        Self::stands(self, token).await.map_err(|error| error.problem())
    }
}

/// Opens the door; `None` when it is off.
pub async fn serve(listen: Listen, warehouse: Warehouse, tokens: Arc<dyn Tokens>) -> Result<Option<Door>, ServerError> {
    let Some(listener) = listen.bind("postgres", false).await? else { return Ok(None) };
    let address =
        listener.local_addr().map_err(|error| ServerError::Lost(format!("the listener has no address: {error}")))?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let desk = Arc::new(startup::Desk::new(warehouse, tokens));
    tasks.spawn(sweep(stop.clone(), desk.clone()));
    let (ended, connections) = (stop.clone(), tasks.clone());
    tasks.spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = ended.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let Ok((socket, _)) = accepted else {
                // Out of file descriptors: accepting again at once would spin.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            if connections.len() > CONNECTIONS_MAX {
                continue;
            }
            let (left, ended) = (CancellationToken::new(), ended.clone());
            let handlers = Arc::new(handler::Handlers::new(desk.clone(), left.clone()));
            connections.spawn(async move {
                tokio::select! {
                    () = ended.cancelled() => {}
                    () = left.cancelled() => {}
                    served = process_socket(socket, None, handlers) => {
                        if let Err(error) = served {
                            tracing::debug!(%error, "a Postgres connection ended");
                        }
                    }
                }
            });
        }
    });
    Ok(Some(Door { address, stop, tasks }))
}

/// Ends connections whose token no longer stands, also in the middle of a query.
async fn sweep(ended: CancellationToken, desk: Arc<startup::Desk>) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            () = ended.cancelled() => return,
            _ = tick.tick() => desk.sweep().await,
        }
    }
}
