//! `naru token`: the way in for programs. A token is shown once and stored as a hash.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Subcommand;
use naru_access::{Scope, TokenInfo, Tokens};
use naru_base::Problem;
use naru_project::Topic;

use super::{Failure, token_settings};
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
        /// Topics it sends events to; it views no table then. Without this it views tables and sends nothing.
        #[arg(long, value_name = "TOPIC", value_delimiter = ',')]
        send: Vec<String>,
        /// Topics whose events it receives through subscriptions; it views no table then.
        #[arg(long, value_name = "TOPIC", value_delimiter = ',')]
        receive: Vec<String>,
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
            Self::New { name, days, send, receive } if !send.is_empty() || !receive.is_empty() => {
                let topics = topics(&home, &send)?;
                self::topics(&home, &receive)?;
                let issued = tokens.issue_sender(&name, &owner(), life(days), &send, &receive).await.map_err(failed)?;
                println!("{}", issued.secret.expose());
                match http_base(&home).await? {
                    Some(_) if send.is_empty() => {}
                    Some(base) => {
                        for line in token_settings::lines(&base, issued.secret.expose(), &topics) {
                            println!("{line}");
                        }
                    }
                    None => eprintln!("the HTTP listener is off, or its port is known only while `naru up` runs"),
                }
                eprintln!("shown once; `naru token revoke {name}` ends it");
            }
            Self::New { name, days, .. } => {
                let life = life(days);
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
                    println!("{}\t{:?}\t{}", token.name, token.standing, what(&token));
                }
            }
            Self::Revoke { name } => tokens.revoke(&name).await.map_err(failed).map(drop)?,
        }
        Ok(())
    }
}

fn life(days: Option<u64>) -> Option<Duration> {
    days.map(|days| Duration::from_secs(days.saturating_mul(86_400)))
}

/// What a token is for, in lists.
fn what(token: &TokenInfo) -> String {
    let (mut sends, mut receives) = (Vec::new(), Vec::new());
    for scope in &token.scopes {
        match scope {
            Scope::Send(topic) => sends.push(topic.as_str()),
            Scope::Receive(topic) => receives.push(topic.as_str()),
            Scope::Query | Scope::Api => return "views tables".to_owned(),
        }
    }
    let part = |word: &str, topics: &[&str]| (!topics.is_empty()).then(|| format!("{word} {}", topics.join(", ")));
    let parts: Vec<String> = [part("sends to", &sends), part("receives", &receives)].into_iter().flatten().collect();
    parts.join("; ")
}

/// The files of topics; a name without one is misspelt.
fn topics<'h>(home: &'h Home, names: &[String]) -> Result<Vec<&'h Topic>, Failure> {
    let find = |name: &String| {
        home.project.topics.iter().find(|topic| topic.name == *name).ok_or_else(|| {
            let known: Vec<&str> = home.project.topics.iter().map(|topic| topic.name.as_str()).collect();
            let hint = if known.is_empty() {
                format!("Declare it in topics/{name}.toml first.")
            } else {
                format!("Topics here: {}.", known.join(", "))
            };
            Failure::from(Problem::new("access.no_such_topic", format!("there is no topic \"{name}\"")).hint(hint))
        })
    };
    names.iter().map(find).collect()
}

/// Where the HTTP door listens, as a URL: as the running naru says, else as the settings do.
async fn http_base(home: &Home) -> Result<Option<String>, Failure> {
    let server = &home.project.settings.server;
    let scheme = if server.tls.is_some() { "https" } else { "http" };
    let address = listener(home, "http").await?.or(server.http.filter(|address| address.port() != 0));
    Ok(address.map(|address| format!("{scheme}://{address}")))
}

/// Where a door of the running naru listens.
async fn listener(home: &Home, door: &str) -> Result<Option<SocketAddr>, Failure> {
    let Some(client) = remote::find(&home.project.root).await? else { return Ok(None) };
    let status = client.status().await.map_err(|error| Failure::from(error.problem()))?;
    Ok(status["listeners"][door].as_str().and_then(|address| address.parse().ok()))
}

/// Where the Postgres wire listens: as the running naru says, else as the settings do.
async fn postgres_address(home: &Home) -> Result<Option<SocketAddr>, Failure> {
    let set = home.project.settings.server.postgres.filter(|address| address.port() != 0);
    Ok(listener(home, "postgres").await?.or(set))
}

fn owner() -> String {
    std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned())
}
