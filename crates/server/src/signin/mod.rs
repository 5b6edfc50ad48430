//! Sign-in: with the company's account, with a one-time link on this machine, with a token.
//!
//! Owns: [`SignIn`], the routes below `/signin`, cookies. Never decides what someone may do, and stores nothing itself:
//! people, sessions and tokens are `naru_access`'s.
//! Read next: [`caller`] for who asks, `login` for the way of a sign-in, `provider` for the issuer.

mod answer;
pub mod caller;
pub(crate) mod device;
mod link;
mod login;
mod pending;
mod problem;
mod provider;
pub(crate) mod request;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, request::Parts},
    routing::{get, post},
};
use naru_access::{People, Services, Sessions, Tokens, audit::Audit};
use naru_base::Problem;
use naru_project::SignInSettings;
use naru_store::Store;
use serde::Serialize;

use crate::api::ApiProblem;
use device::Requested;
use login::Begun;
use pending::{Counters, Pending};
use provider::Provider;

/// Sign-ins that may be under way at once.
const BEGUN_MAX: usize = 10_000;

/// One-time links that may wait for their click.
const LINKS_MAX: usize = 100;

/// How long a one-time link waits.
const LINK_PATIENCE: Duration = Duration::from_mins(10);

/// Devices that may wait to be let in.
const DEVICES_MAX: usize = 1_000;

/// How long a browser keeps the cookie of a session; the session itself ends earlier.
const COOKIE_SECONDS: i64 = 86_400;

/// How people come in.
#[derive(Debug, Clone)]
pub struct Options {
    /// The project's name.
    pub project: String,
    /// The project's random id: cookies of two projects on one machine must not be mixed up.
    pub project_id: String,
    /// Who signs people in; without one the folder's owner opens the console with a one-time link.
    pub sign_in: Option<SignInSettings>,
    /// Addresses of proxies that are believed about whom they ask for.
    pub proxies: Vec<IpAddr>,
    /// Whether browsers reach this naru over TLS, its own or a proxy's.
    pub secure: bool,
}

/// Sign-in of one naru. Clones are the same.
#[derive(Debug, Clone)]
pub struct SignIn {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    provider: Option<Provider>,
    people: People,
    sessions: Sessions,
    tokens: Tokens,
    services: Services,
    audit: Audit,
    begun: Pending<Begun>,
    links: Pending<()>,
    devices: Pending<Requested>,
    attempts: Counters,
    wire: OnceLock<SocketAddr>,
}

impl SignIn {
    /// Sign-in over a state database. Talks to the issuer when somebody signs in, not before.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(store: &Store, audit: Audit, options: Options) -> Result<Self, Problem> {
        let made = |error: reqwest::Error| Problem::from_error("signin.client", "the issuer cannot be asked", &error);
        let inner = Inner {
            provider: options.sign_in.clone().map(Provider::new).transpose().map_err(made)?,
            people: People::new(store.clone()),
            sessions: Sessions::new(store.clone()),
            tokens: Tokens::new(store.clone()),
            services: Services::new(store.clone()),
            audit,
            begun: Pending::new(BEGUN_MAX, Duration::from_secs(login::SIGN_IN_SECONDS.unsigned_abs())),
            links: Pending::new(LINKS_MAX, LINK_PATIENCE),
            devices: Pending::new(DEVICES_MAX, device::PATIENCE),
            attempts: Counters::default(),
            wire: OnceLock::new(),
            options,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Says where the Postgres wire listens, so that whoever gets a token is told.
    pub fn tell_wire(&self, address: SocketAddr) {
        let _ = self.inner.wire.set(address);
    }

    /// Where the Postgres wire listens; none where it is off.
    pub(crate) fn wire(&self) -> Option<SocketAddr> {
        self.inner.wire.get().copied()
    }

    fn options(&self) -> &Options {
        &self.inner.options
    }

    fn provider(&self) -> Option<&Provider> {
        self.inner.provider.as_ref()
    }

    fn has_provider(&self) -> bool {
        self.provider().is_some()
    }

    /// Everybody who signed in here.
    pub(crate) fn people(&self) -> &People {
        &self.inner.people
    }

    /// Sessions of browsers.
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.inner.sessions
    }

    /// Tokens.
    pub(crate) fn tokens(&self) -> &Tokens {
        &self.inner.tokens
    }

    /// Service accounts.
    pub(crate) fn services(&self) -> &Services {
        &self.inner.services
    }

    fn audit(&self) -> &Audit {
        &self.inner.audit
    }

    fn begun(&self) -> &Pending<Begun> {
        &self.inner.begun
    }

    fn links(&self) -> &Pending<()> {
        &self.inner.links
    }

    fn devices(&self) -> &Pending<Requested> {
        &self.inner.devices
    }

    fn attempts(&self) -> &Counters {
        &self.inner.attempts
    }

    /// The name of the session's cookie. The prefix makes browsers refuse it from anywhere but this host over TLS.
    fn cookie_name(&self) -> String {
        if self.options().secure { "__Host-naru".to_owned() } else { format!("naru-{}", self.options().project_id) }
    }

    /// The name of the cookie that ties a sign-in to the browser that began it.
    fn begun_cookie(&self) -> String {
        format!("{}-signin", self.cookie_name())
    }

    fn session_cookie(&self, value: String) -> HeaderValue {
        answer::cookie(self.cookie_name(), value, self.options().secure, COOKIE_SECONDS)
    }

    /// Whether a host is one that this naru is called by.
    fn knows_host(&self, host: &str) -> bool {
        match &self.options().sign_in {
            None => request::is_loopback(host),
            Some(settings) => {
                let named = settings.url.host_str().unwrap_or_default();
                request::without_port(host).eq_ignore_ascii_case(named)
            }
        }
    }

    /// Whether our own page sent a request, to a name of ours.
    fn check_ours(&self, parts: &Parts) -> Result<(), ApiProblem> {
        self.check_host(parts)?;
        request::check_ours(parts).map_err(caller::foreign)
    }
}

/// What a sign-in page needs to know before anybody is signed in.
#[derive(Debug, Serialize)]
struct Info {
    /// The project's name.
    project: String,
    /// `provider` or `link`.
    mode: &'static str,
    /// The issuer's host.
    issuer: Option<String>,
}

async fn info(State(signin): State<SignIn>) -> Json<Info> {
    let issuer = signin.options().sign_in.as_ref().map(|settings| settings.issuer.clone());
    let host = issuer.and_then(|issuer| url::Url::parse(&issuer).ok()?.host_str().map(str::to_owned));
    let mode = if signin.has_provider() { "provider" } else { "link" };
    Json(Info { project: signin.options().project.clone(), mode, issuer: host })
}

/// The routes of sign-in, open to everybody.
pub fn router(signin: SignIn) -> Router {
    Router::new()
        .route("/signin/info", get(info))
        .route("/signin/start", get(login::start))
        .route("/signin/callback", get(login::callback))
        .route("/signin/out", post(login::out))
        .route("/signin/open", get(link::page).post(link::open))
        .route("/signin/open.js", get(link::script))
        .route("/signin/device/code", post(device::begin))
        .route("/signin/device/token", post(device::poll))
        .with_state(signin)
}
