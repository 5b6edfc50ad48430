//! Signing in with the company's account, and out.
//!
//! Owns: `/signin/start`, `/signin/callback`, `/signin/out`. A sign-in begins and ends in one browser; its answer is taken
//! once; the session that it opens is always a new one.

use axum::{
    extract::{Query, Request, State},
    http::{HeaderValue, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use naru_access::{
    AccessError, Principal, SessionOf, Vouched,
    audit::{Deed, Door, Entry, Origin},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{
    SignIn,
    answer::{cookie, go},
    problem::Refusal,
    provider::{Asked, Provider, error_word, random},
    request,
};

/// How long a sign-in may take at the issuer.
pub(super) const SIGN_IN_SECONDS: i64 = 600;

/// Letters of a code or state; longer ones are nobody's.
const PARAMETER_LETTERS_MAX: usize = 4_000;

/// A sign-in that was sent to the issuer.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    asked: Asked,
    /// The value of the cookie in the browser that began it: nobody else can end it.
    browser: String,
    to: String,
    quiet: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Start {
    #[serde(default)]
    to: String,
    /// Nobody is asked: works while the person is signed in at the issuer.
    #[serde(default)]
    quiet: Option<String>,
    /// Lets the person take another account.
    #[serde(default)]
    choose: Option<String>,
}

/// Begins a sign-in: sends the browser to the issuer.
pub(super) async fn start(State(signin): State<SignIn>, Query(start): Query<Start>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let to = request::local_path(&start.to);
    let Some(provider) = signin.provider() else { return go("/signin", []) };
    match begin(&signin, provider, &parts, &start, to.clone()).await {
        Ok(response) => response,
        Err(refusal) => refuse(&refusal, &to),
    }
}

async fn begin(
    signin: &SignIn,
    provider: &Provider,
    parts: &Parts,
    start: &Start,
    to: String,
) -> Result<Response, Refusal> {
    let peer = request::peer(parts, &signin.options().proxies);
    if !signin.attempts().start.pass(peer) {
        return Err(Refusal::TooMany);
    }
    let (asked, quiet) = (Asked::draw(), start.quiet.is_some());
    let address = provider.address(&asked, quiet, start.choose.is_some()).await?;
    // Several sign-ins may be begun in one browser, in as many tabs.
    let name = signin.begun_cookie();
    let known = request::cookie(&parts.headers, &name).filter(|value| is_random(value));
    let browser = known.unwrap_or_else(random);
    let begun = Begun { browser: browser.clone(), to, quiet, asked: asked.clone() };
    signin.begun().put(asked.state, peer, begun);
    Ok(go(address.as_str(), [cookie(name, browser, signin.options().secure, SIGN_IN_SECONDS)]))
}

/// Whether a text can be one of [`random`].
fn is_random(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

/// Ends a sign-in with what the issuer sent through the browser.
pub(super) async fn callback(State(signin): State<SignIn>, Query(answer): Query<Answer>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let Some(provider) = signin.provider() else { return go("/signin", []) };
    // Taken before anything else is looked at: an answer counts once.
    let begun = Some(&answer.state).filter(|state| state.len() <= PARAMETER_LETTERS_MAX);
    let begun = begun.and_then(|state| signin.begun().take(state));
    let here = request::cookie(&parts.headers, &signin.begun_cookie());
    let Some(begun) = begun.filter(|begun| here.as_deref() == Some(&begun.browser)) else {
        return refuse(&Refusal::Unknown, "/");
    };
    match end(&signin, provider, &parts, answer, &begun).await {
        Ok(session) => go(&begun.to, [session]),
        Err(refusal) => {
            signin.note_refused(&parts, &refusal).await;
            refuse(&refusal, &begun.to)
        }
    }
}

/// Opens the session; gives its cookie.
async fn end(
    signin: &SignIn,
    provider: &Provider,
    parts: &Parts,
    answer: Answer,
    begun: &Begun,
) -> Result<HeaderValue, Refusal> {
    if !provider.answered_by(answer.iss.as_deref()).await? {
        return Err(Refusal::MixedUp);
    }
    if let Some(error) = answer.error {
        // Google says `interaction_required`, others `login_required` or one of its kin.
        let asks = error.ends_with("_required");
        return Err(if begun.quiet && asks {
            Refusal::NotQuiet
        } else {
            Refusal::Denied(error_word(&error).unwrap_or_else(|| "no reason".to_owned()))
        });
    }
    let code = answer.code.filter(|code| !code.is_empty() && code.len() <= PARAMETER_LETTERS_MAX);
    let code = code.ok_or(Refusal::Unknown)?;
    let identity = provider.exchange(&code, &begun.asked).await?;
    let vouched = Vouched {
        issuer: provider.settings().issuer.clone(),
        subject: identity.subject,
        email: identity.email,
        shown: identity.shown,
        domain: Some(identity.domain),
    };
    let account = signin.people().vouched(vouched).await?;
    let principal = Principal::Person(account.clone());
    signin.open_session(parts, SessionOf::Person(account.id), &principal).await
}

impl SignIn {
    /// Opens a new session in this browser and ends the one that it had: what was known before a sign-in is worth
    /// nothing after it.
    pub(super) async fn open_session(
        &self,
        parts: &Parts,
        of: SessionOf,
        principal: &Principal,
    ) -> Result<HeaderValue, Refusal> {
        let peer = request::peer(parts, &self.options().proxies);
        let client = request::client(&parts.headers);
        let _ = self.end_session(parts).await?;
        let opened = self.sessions().open(of, peer, &client).await?;
        let origin = Origin { door: Door::Console, address: Some(peer), client };
        let entry = Entry::new(principal, origin, Deed::SignIn).detail("session opened");
        if let Err(problem) = self.audit().note(principal, entry).await {
            // Nobody comes in unwritten.
            let _ = self.sessions().end(of, opened.id).await;
            return Err(Refusal::Audit(problem));
        }
        Ok(self.session_cookie(opened.cookie.expose().to_owned()))
    }

    /// Writes down that somebody who came back from the issuer was not let in. What was not begun here is not written:
    /// anybody could fill the audit with it.
    async fn note_refused(&self, parts: &Parts, refusal: &Refusal) {
        if matches!(refusal, Refusal::NotQuiet | Refusal::Audit(_)) {
            return;
        }
        let account = match refusal {
            Refusal::Access(AccessError::Left { name }) => name.clone(),
            _ => "somebody unknown".to_owned(),
        };
        let entry = Entry::new(&Principal::Project, self.origin(parts), Deed::SignIn).detail(refusal.to_string());
        let entry = Entry { account, account_kind: "person", result: refusal.code().to_owned(), ..entry };
        if let Err(problem) = self.audit().note(&Principal::Project, entry).await {
            tracing::warn!(%problem, "a refused sign-in is not in the audit");
        }
    }

    fn origin(&self, parts: &Parts) -> Origin {
        let address = Some(request::peer(parts, &self.options().proxies));
        Origin { door: Door::Console, address, client: request::client(&parts.headers) }
    }

    /// Ends the session of a request's cookie, if it has one; gives whose it was.
    pub(super) async fn end_session(&self, parts: &Parts) -> Result<Option<Principal>, Refusal> {
        let Some(cookie) = request::cookie(&parts.headers, &self.cookie_name()) else { return Ok(None) };
        let Some((id, principal)) = self.sessions().enter(&cookie).await? else { return Ok(None) };
        let of = match &principal {
            Principal::Person(account) => SessionOf::Person(account.id),
            _ => SessionOf::Owner,
        };
        self.sessions().end(of, id).await?;
        Ok(Some(principal))
    }
}

/// Sends the browser to the sign-in page with the reason's code; the log is told more.
fn refuse(refusal: &Refusal, to: &str) -> Response {
    if !matches!(refusal, Refusal::NotQuiet) {
        tracing::warn!(code = refusal.code(), reason = refusal.told(), "somebody was not signed in");
    }
    let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    go(&format!("/signin?error={}&to={}", part(refusal.code()), part(to)), [])
}

/// Signs out: ends the session of the request and takes its cookie away.
pub(super) async fn out(State(signin): State<SignIn>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    if let Err(problem) = signin.check_ours(&parts) {
        return problem.into_response();
    }
    match signin.end_session(&parts).await {
        Ok(None) => {}
        Ok(Some(principal)) => {
            let entry = Entry::new(&principal, signin.origin(&parts), Deed::SignIn).detail("signed out");
            // Whoever wants out is out, written down or not.
            if let Err(problem) = signin.audit().note(&principal, entry).await {
                tracing::warn!(%problem, "a sign-out is not in the audit");
            }
        }
        Err(refusal) => {
            tracing::warn!(reason = refusal.told(), "a session could not be ended");
            return crate::api::ApiProblem::from(refusal.problem()).into_response();
        }
    }
    let gone = cookie(signin.cookie_name(), String::new(), signin.options().secure, 0);
    (StatusCode::NO_CONTENT, [(axum::http::header::SET_COOKIE, gone)]).into_response()
}
