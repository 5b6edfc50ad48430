//! `naru token`: the way in for programs. A token is shown once and stored as a hash.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Subcommand;
use naru_access::Tokens;

use super::Failure;
use crate::{home::Home, remote};

/// Make and list tokens.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token and print it once, with a ready connection URL.
    New {
        /// Its name; also the user name on the Postgres wire.
        name: String,
        /// Days until it expires; default: never.
        #[arg(long)]
        days: Option<u64>,
    },
    /// List tokens.
    List,
    /// Revoke a token.
    Revoke {
        /// Its name.
        name: String,
    },
}

impl Token {
    pub(super) async fn run(self, place: Option<PathBuf>) -> Result<(), Failure> {
        let home = Home::look(place)?;
        let tokens = Tokens::new(home.store()?);
        let failed = |error: naru_access::AccessError| Failure::from(error.problem());
        match self {
            Self::New { name, days } => {
                let life = days.map(|days| Duration::from_secs(days.saturating_mul(86_400)));
                let issued = tokens.issue(&name, &owner(), life).await.map_err(failed)?;
                let project = &home.project.settings.name;
                println!("{}", issued.secret.expose());
                match postgres_address(&home).await? {
                    Some(address) => println!("{}", issued.postgres_url(address, project).expose()),
                    None => eprintln!("the Postgres wire is off, or its port is known only while `naru up` runs"),
                }
                eprintln!("shown once; `naru token revoke {name}` ends it");
            }
            Self::List => {
                for token in tokens.list().await.map_err(failed)? {
                    println!("{}\t{:?}", token.name, token.standing);
                }
            }
            Self::Revoke { name } => tokens.revoke(&name).await.map_err(failed).map(drop)?,
        }
        Ok(())
    }
}

/// Where the Postgres wire listens: as the running naru says, else as the settings do.
async fn postgres_address(home: &Home) -> Result<Option<SocketAddr>, Failure> {
    if let Some(client) = remote::find(&home.project.root).await? {
        let status = client.status().await.map_err(|error| Failure::from(error.problem()))?;
        return Ok(status["listeners"]["postgres"].as_str().and_then(|address| address.parse().ok()));
    }
    Ok(home.project.settings.server.postgres.filter(|address| address.port() != 0))
}

fn owner() -> String {
    std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned())
}
