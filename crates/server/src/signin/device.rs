//! Letting in a program on a machine without our browser: `naru login URL`.
//!
//! Owns: the two halves of RFC 8628: the program asks for a code and waits; the person enters it, sees who asks and from
//! where, and lets it in. What the program gets is a personal token. Nothing is kept but for a few minutes.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use axum::{
    Form, Json,
    extract::{Request, State},
    http::{StatusCode, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
};
use naru_access::{Account, Scope};
use naru_base::{Problem, Secret};
use rand::Rng as _;
use serde::{Deserialize, Serialize};

use super::{SignIn, provider::random, request};
use crate::api::ApiProblem;

/// How long a program waits to be let in.
pub(super) const PATIENCE: Duration = Duration::from_mins(10);

/// Seconds between two questions of a program.
const INTERVAL_S: u64 = 5;

/// Days that its token lives.
const TOKEN_DAYS: u64 = 30;

/// Letters of a code that people type: none that are taken for each other, no vowels, so that they make no words.
const CODE_LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Letters of a code, with a dash in the middle: 20^8 codes, of which at most a thousand wait.
const CODE_LENGTH: usize = 8;

/// Letters of a program's own name.
const NAME_LETTERS_MAX: usize = 60;

/// A program that waits. Its key is the code that people type.
#[derive(Debug, Clone)]
pub(crate) struct Requested {
    device: String,
    /// What the program calls itself and its machine.
    pub client: String,
    /// Where it asks from.
    pub peer: IpAddr,
    /// When it asked, in microseconds since 1970 UTC.
    pub at_us: i64,
    asked: Option<Instant>,
    answer: Answered,
}

#[derive(Debug, Clone)]
enum Answered {
    NotYet,
    /// Somebody said yes; its token is being made.
    Soon,
    No,
    Yes {
        token: Secret,
        account: String,
        expires_us: Option<i64>,
    },
}

#[derive(Debug, Deserialize)]
pub(super) struct Begin {
    /// What the program calls itself, for the person who lets it in.
    #[serde(default)]
    client: String,
}

#[derive(Debug, Serialize)]
struct Offered {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: u64,
    interval: u64,
}

/// A program asks for a code.
pub(super) async fn begin(State(signin): State<SignIn>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let peer = request::peer(&parts, &signin.options().proxies);
    let Some(settings) = &signin.options().sign_in else {
        let problem = Problem::new("signin.no_provider", "nobody signs in at this naru");
        let problem = problem.hint("Commands in its project folder need no sign-in.");
        return ApiProblem(problem, StatusCode::NOT_FOUND).into_response();
    };
    if !signin.attempts().device.pass(peer) {
        return oauth(StatusCode::TOO_MANY_REQUESTS, "slow_down");
    }
    let Ok(body) = axum::body::to_bytes(body, 4_000).await else {
        return oauth(StatusCode::BAD_REQUEST, "invalid_request");
    };
    let Ok(Form(begin)) = form::<Begin>(&body) else { return oauth(StatusCode::BAD_REQUEST, "invalid_request") };
    let (device, code) = (random(), draw_code());
    let client = begin.client.chars().filter(|c| is_plain(*c)).take(NAME_LETTERS_MAX).collect();
    let requested = Requested {
        device: device.clone(),
        client,
        peer,
        at_us: naru_base::time::now_us(),
        asked: None,
        answer: Answered::NotYet,
    };
    signin.devices().put(code.clone(), peer, requested);
    let page = format!("{}signin/device", settings.url);
    let answer = Offered {
        // The code finds the entry, the rest proves whose it is.
        device_code: format!("{code}.{device}"),
        verification_uri_complete: format!("{page}?code={}", shown(&code)),
        user_code: shown(&code),
        verification_uri: page,
        expires_in: PATIENCE.as_secs(),
        interval: INTERVAL_S,
    };
    ([(CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

fn form<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<Form<T>, ()> {
    let pairs = url::form_urlencoded::parse(body);
    let map: serde_json::Map<String, serde_json::Value> =
        pairs.map(|(key, value)| (key.into_owned(), value.into_owned().into())).collect();
    serde_json::from_value(map.into()).map(Form).map_err(|_| ())
}

#[derive(Debug, Deserialize)]
pub(super) struct Poll {
    device_code: String,
}

#[derive(Debug, Serialize)]
struct Granted {
    access_token: String,
    token_type: &'static str,
    account: String,
    expires_us: Option<i64>,
}

/// A program asks whether it was let in.
pub(super) async fn poll(State(signin): State<SignIn>, request: Request) -> Response {
    let (_, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 4_000).await.unwrap_or_default();
    let Ok(Form(poll)) = form::<Poll>(&body) else { return oauth(StatusCode::BAD_REQUEST, "invalid_request") };
    let Some((code, device)) = poll.device_code.split_once('.') else {
        return oauth(StatusCode::BAD_REQUEST, "expired_token");
    };
    let asked = signin.devices().change(code, |waiting| {
        if waiting.device != device {
            return None;
        }
        let early = waiting.asked.is_some_and(|at| at.elapsed() < Duration::from_secs(INTERVAL_S - 1));
        waiting.asked = Some(Instant::now());
        Some((early, waiting.answer.clone()))
    });
    match asked.flatten() {
        None => oauth(StatusCode::BAD_REQUEST, "expired_token"),
        Some((true, Answered::NotYet | Answered::Soon)) => oauth(StatusCode::BAD_REQUEST, "slow_down"),
        Some((false, Answered::NotYet | Answered::Soon)) => oauth(StatusCode::BAD_REQUEST, "authorization_pending"),
        Some((_, Answered::No)) => {
            signin.devices().take(code);
            oauth(StatusCode::BAD_REQUEST, "access_denied")
        }
        Some((_, Answered::Yes { token, account, expires_us })) => {
            // Given once.
            if signin.devices().take(code).is_none() {
                return oauth(StatusCode::BAD_REQUEST, "expired_token");
            }
            let access_token = token.expose().to_owned();
            let granted = Granted { access_token, token_type: "Bearer", account, expires_us };
            ([(CACHE_CONTROL, "no-store")], Json(granted)).into_response()
        }
    }
}

fn oauth(status: StatusCode, error: &str) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Json(serde_json::json!({ "error": error }))).into_response()
}

/// Whether a letter may stand in a program's name: nothing that hides, turns around or frames what stands beside it.
fn is_plain(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_' | '.' | '@' | '/' | '(' | ')')
}

fn draw_code() -> String {
    let mut random = rand::rng();
    let letter = |at: usize| CODE_LETTERS.get(at).copied().map(char::from);
    (0..CODE_LENGTH).filter_map(|_| letter(random.random_range(0..CODE_LETTERS.len()))).collect()
}

fn shown(code: &str) -> String {
    code.split_at_checked(CODE_LENGTH / 2).map_or_else(|| code.to_owned(), |(one, two)| format!("{one}-{two}"))
}

/// A code as typed: case, dashes and blanks do not count.
fn typed(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).take(CODE_LENGTH + 1).collect()
}

impl SignIn {
    /// The program that waits with a code, for the person who typed it; `None` when none does, or it was answered.
    pub(crate) fn requested(&self, code: &str) -> Option<Requested> {
        self.devices().see(&typed(code)).filter(|waiting| matches!(waiting.answer, Answered::NotYet))
    }

    /// Counts somebody's try at a code; `false` when it is one too many.
    pub(crate) fn may_try(&self, from: IpAddr) -> bool {
        self.attempts().code.pass(from)
    }

    /// Turns a program away.
    pub(crate) fn turn_away(&self, code: &str) -> bool {
        self.answer(&typed(code), Answered::No).is_some()
    }

    /// Answers what nobody answered yet; the program's name, or `None` when there is nothing to answer.
    fn answer(&self, code: &str, answer: Answered) -> Option<String> {
        let answered = self.devices().change(code, |waiting| {
            matches!(waiting.answer, Answered::NotYet).then(|| {
                waiting.answer = answer;
                waiting.client.clone()
            })
        });
        answered.flatten()
    }

    /// Lets a program in as a person, with a personal token of its own.
    ///
    /// # Errors
    /// The token cannot be made.
    pub(crate) async fn let_in(&self, code: &str, person: &Account) -> Result<bool, Problem> {
        let code = typed(code);
        // Taken before the token is made: two clicks make one.
        let Some(client) = self.answer(&code, Answered::Soon) else { return Ok(false) };
        // Names of tokens are unique; the code tells two sign-ins of one machine apart.
        let name: String = format!("{} {}", if client.is_empty() { "naru" } else { &client }, shown(&code));
        let name = cut(&name, 63);
        // `naru sql` asks for no more; a longer one is made by hand in the console.
        let scopes = vec![Scope::Query];
        let issued = self.tokens().issue_personal(person, &name, TOKEN_DAYS, scopes).await;
        let issued = match issued {
            Ok(issued) => issued,
            Err(error) => {
                self.devices().change(&code, |waiting| waiting.answer = Answered::NotYet);
                return Err(error.problem());
            }
        };
        let answer =
            Answered::Yes { token: issued.secret, account: person.name.clone(), expires_us: issued.expires_us };
        Ok(self.devices().change(&code, |waiting| waiting.answer = answer).is_some())
    }
}

/// The last letters of a name that fit into so many bytes.
fn cut(name: &str, bytes: usize) -> String {
    let mut from = name.len().saturating_sub(bytes);
    while !name.is_char_boundary(from) {
        from += 1;
    }
    name.get(from..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_however_it_is_typed() {
        let code = draw_code();
        assert_eq!(code.len(), CODE_LENGTH);
        assert_eq!(typed(&shown(&code).to_lowercase()), code);
        assert_eq!(typed(&format!(" {} ", shown(&code).replace('-', " "))), code);
        assert_ne!(draw_code(), code);
    }

    #[test]
    fn a_programs_name_has_plain_letters_only() {
        let told: String = "naru on 가나-1.local\u{202e}\u{200b}\"<b>\n".chars().filter(|c| is_plain(*c)).collect();
        assert_eq!(told, "naru on 가나-1.localb");
    }

    #[test]
    fn a_name_too_long_loses_its_beginning() {
        assert_eq!(cut("가나다 AB-CD", 9), "다 AB-CD");
        assert_eq!(cut("ab", 9), "ab");
    }
}
