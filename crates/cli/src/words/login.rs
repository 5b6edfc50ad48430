//! `naru login`: signs this user in at a naru elsewhere, with a browser that may be on another machine.

use std::time::Duration;

use clap::Args;
use naru_base::Problem;
use reqwest::StatusCode;
use serde::Deserialize;

use super::Failure;
use crate::logins::{self, Login, Logins, json, send};

/// Sign in at a naru elsewhere: prints an address to open in a browser, and waits until you are let in.
#[derive(Debug, Args)]
pub struct LoginWord {
    /// Its address, as in the browser.
    url: String,
    /// Forget the sign-in there instead. The token itself is revoked in the console's settings.
    #[arg(long)]
    forget: bool,
}

#[derive(Deserialize)]
struct Offered {
    device_code: String,
    user_code: String,
    verification_uri_complete: String,
    interval: u64,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    account: String,
    expires_us: Option<i64>,
}

#[derive(Deserialize)]
struct Refused {
    error: Option<String>,
    code: Option<String>,
}

impl LoginWord {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let url = logins::address(&self.url)?;
        let mut known = Logins::read()?;
        if self.forget {
            known.at.remove(url.as_str());
            known.last = known.last.filter(|last| last != url.as_str());
            return known.write();
        }
        let client = logins::client()?;
        let form = [("client", format!("naru {} on {}", env!("CARGO_PKG_VERSION"), machine()))];
        let asked = send(client.post(format!("{url}signin/device/code")).form(&form)).await?;
        if asked.status() != StatusCode::OK {
            return Err(refused(&json(asked).await?, url.as_str()));
        }
        let code: Offered = json(asked).await?;
        eprintln!(
            "Open {}\nand let this program in if the page shows the code {}",
            code.verification_uri_complete, code.user_code
        );
        let form = [("device_code", code.device_code.as_str())];
        let mut wait = Duration::from_secs(code.interval.max(1));
        loop {
            tokio::time::sleep(wait).await;
            let answer = send(client.post(format!("{url}signin/device/token")).form(&form)).await?;
            if answer.status() == StatusCode::OK {
                let granted: Granted = json(answer).await?;
                return keep(known, url.as_str(), granted);
            }
            let told: Refused = json(answer).await?;
            match told.error.as_deref() {
                Some("authorization_pending") => {}
                Some("slow_down") => wait += Duration::from_secs(1),
                _ => return Err(refused(&told, url.as_str())),
            }
        }
    }
}

/// What this machine is called, for whoever lets it in.
fn machine() -> String {
    let named = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let system = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    named.or_else(system).map_or_else(|| "a machine".to_owned(), |name| name.trim().to_owned())
}

fn keep(mut known: Logins, url: &str, granted: Granted) -> Result<(), Failure> {
    let Granted { access_token, account, expires_us } = granted;
    known.at.insert(url.to_owned(), Login { token: access_token, account: account.clone(), expires_us });
    known.last = Some(url.to_owned());
    known.write()?;
    eprintln!("signed in at {url} as {account}; `naru sql --server {url}` asks it");
    Ok(())
}

fn refused(told: &Refused, url: &str) -> Failure {
    let (code, summary, hint) = match (told.error.as_deref(), told.code.as_deref()) {
        (Some("access_denied"), _) => {
            ("login.denied", "you were turned away in the browser", "Begin again when you change your mind.")
        }
        (Some("expired_token"), _) => {
            ("login.too_late", "nobody let this program in within ten minutes", "Begin again.")
        }
        (_, Some("signin.no_provider")) => {
            ("login.no_provider", "nobody signs in at this naru", "Commands in its project folder need no sign-in.")
        }
        _ => ("login.refused", "this naru let nobody in", "Try again in a minute."),
    };
    Problem::new(code, summary).detail(format!("Asked at {url}.")).hint(hint).into()
}
