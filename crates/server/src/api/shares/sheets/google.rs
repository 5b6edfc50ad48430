//! The Sheets API of Google, as far as a block needs it.
//!
//! Owns: the service account's token (RFC 7523), requests with their repetitions, and what Google's refusals mean for
//! whoever shares. Every request that is repeated does the same again. Source: "Google Sheets API v4", "Using OAuth 2.0
//! for server to server applications".

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use naru_base::{Problem, retry::Backoff, time::now_us};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, Response, StatusCode, header, redirect::Policy};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// What the token is for.
const SCOPE: &str = "https://www.googleapis.com/auth/spreadsheets";
/// How long a token is asked for, and how long before its end another one is.
const TOKEN_S: i64 = 3_600;
const TOKEN_SPARE: Duration = Duration::from_mins(5);
/// How often a request is sent before it has failed.
const TRIES_MAX: u32 = 6;
/// The longest that Google may make us wait.
const WAIT_MAX: Duration = Duration::from_mins(2);
const REQUEST_PATIENCE: Duration = Duration::from_mins(3);

/// Where Google is, and who we are there.
#[derive(Debug, Clone)]
pub struct GoogleSettings {
    /// The key of a service account, as Google gives it: a JSON file.
    pub key: PathBuf,
    /// `https://sheets.googleapis.com`, or what stands in for it.
    pub endpoint: String,
    /// The first wait after a refusal that passes.
    pub first_wait: Duration,
}

impl GoogleSettings {
    /// The real one.
    pub fn new(key: PathBuf) -> Self {
        Self { key, endpoint: "https://sheets.googleapis.com".to_owned(), first_wait: Duration::from_secs(1) }
    }
}

#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    token_uri: String,
}

/// Google Sheets as a service account. Clones are the same.
#[derive(Clone)]
pub struct Google {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    email: String,
    key: EncodingKey,
    token_uri: String,
    endpoint: String,
    first_wait: Duration,
    token: Mutex<Option<(String, Instant)>>,
}

impl std::fmt::Debug for Google {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Google").field("email", &self.inner.email).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

impl Google {
    /// Reads the account's key; talks to nobody yet.
    ///
    /// # Errors
    /// The file is none of Google's keys.
    pub fn open(settings: &GoogleSettings) -> Result<Self, Problem> {
        let wrong = |detail: String| {
            let path = settings.key.display();
            Problem::new("sheets.key", format!("the key of Google's service account {path} cannot be used"))
                .detail(detail)
                .hint(
                    "`key` under [sheets] in naru.toml is the JSON file that Google Cloud makes for a service account.",
                )
        };
        let text = std::fs::read(&settings.key).map_err(|error| wrong(error.to_string()))?;
        // The error of a reader would quote the text, which holds the key.
        let file: KeyFile = serde_json::from_slice(&text).map_err(|_| wrong("It is no such file.".to_owned()))?;
        let key = EncodingKey::from_rsa_pem(file.private_key.as_bytes())
            .map_err(|_| wrong("Its private_key is no RSA key.".to_owned()))?;
        let client = Client::builder().redirect(Policy::none()).timeout(REQUEST_PATIENCE).build();
        let client = client.map_err(|error| wrong(error.to_string()))?;
        let endpoint = settings.endpoint.trim_end_matches('/').to_owned();
        let (email, token_uri, first_wait) = (file.client_email, file.token_uri, settings.first_wait);
        let token = Mutex::new(None);
        Ok(Self { inner: Arc::new(Inner { client, email, key, token_uri, endpoint, first_wait, token }) })
    }

    /// The address with which a spreadsheet is shared for us to write into it.
    pub fn email(&self) -> &str {
        &self.inner.email
    }

    /// Asks for something.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Problem> {
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect();
        self.call(Method::GET, &format!("{path}?{}", query.join("&")), None).await
    }

    /// Sends something that may be sent twice.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Problem> {
        self.call(Method::POST, path, Some(body.to_string())).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<String>) -> Result<Value, Problem> {
        let mut backoff = Backoff::new(self.inner.first_wait, WAIT_MAX);
        let mut renewed = false;
        loop {
            let token = self.token().await?;
            let mut request = self.inner.client.request(method.clone(), format!("{}{path}", self.inner.endpoint));
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            if let Some(body) = &body {
                request = request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
            }
            let wait = match request.send().await {
                Ok(response) if response.status().is_success() => match read(response).await {
                    Ok(value) => return Ok(value),
                    Err(()) => backoff.next_wait(),
                },
                Ok(response) if response.status() == StatusCode::UNAUTHORIZED && !renewed => {
                    renewed = true;
                    *self.inner.token.lock().await = None;
                    continue;
                }
                Ok(response) if passes(response.status()) => {
                    let asked = retry_after(&response);
                    let own = backoff.next_wait();
                    asked.map_or(own, |asked| asked.max(own)).min(WAIT_MAX)
                }
                Ok(response) => return Err(self.refused(response.status())),
                Err(_) => backoff.next_wait(),
            };
            if backoff.tries() >= TRIES_MAX {
                let problem = Problem::new("sheets.unreachable", "Google Sheets does not answer, or asks to wait");
                return Err(problem.detail(format!("It was asked {TRIES_MAX} times.")).later());
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn refused(&self, status: StatusCode) -> Problem {
        let email = &self.inner.email;
        match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
                Problem::new("sheets.forbidden", "Google does not let naru write into this spreadsheet").hint(format!(
                    "Share it with {email} as an editor, and switch on the Sheets API in the account's project."
                ))
            }
            StatusCode::NOT_FOUND => Problem::new("sheets.not_found", "there is no such spreadsheet")
                .hint(format!("Look at its address, and share it with {email} as an editor.")),
            status => Problem::new("sheets.refused", format!("Google Sheets refused the block (status {status})"))
                .detail("A range of the sheet may be protected, or the sheet may have been made smaller meanwhile."),
        }
    }

    /// A token that is good for a while.
    async fn token(&self) -> Result<String, Problem> {
        let mut held = self.inner.token.lock().await;
        if let Some((token, until)) = held.as_ref()
            && *until > Instant::now()
        {
            return Ok(token.clone());
        }
        let granted = self.ask_for_token().await?;
        let life = Duration::from_secs(granted.expires_in).saturating_sub(TOKEN_SPARE);
        *held = Some((granted.access_token.clone(), Instant::now() + life));
        Ok(granted.access_token)
    }

    async fn ask_for_token(&self) -> Result<Granted, Problem> {
        let failed = |detail: String| {
            Problem::new("sheets.token", "Google does not know naru's service account")
                .detail(detail)
                .hint("Look at `key` under [sheets] in naru.toml: the account or its key may have been deleted.")
        };
        let now = now_us() / 1_000_000;
        let claims = json!({
            "iss": self.inner.email,
            "scope": SCOPE,
            "aud": self.inner.token_uri,
            "iat": now,
            "exp": now + TOKEN_S,
        });
        let assertion = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.inner.key);
        let assertion = assertion.map_err(|_| failed("Its key could not sign.".to_owned()))?;
        let body = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let mut backoff = Backoff::new(self.inner.first_wait, WAIT_MAX);
        loop {
            let request = self.inner.client.post(&self.inner.token_uri);
            let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body.clone());
            match request.send().await {
                Ok(response) if response.status().is_success() => {
                    let text = response.text().await.unwrap_or_default();
                    return serde_json::from_str(&text).map_err(|_| failed("Its answer was no token.".to_owned()));
                }
                Ok(response) if !passes(response.status()) => {
                    return Err(failed(format!("It answered with status {}.", response.status())));
                }
                _ => {}
            }
            let wait = backoff.next_wait();
            if backoff.tries() >= TRIES_MAX {
                return Err(failed("It does not answer.".to_owned()).later());
            }
            tokio::time::sleep(wait).await;
        }
    }
}

async fn read(response: Response) -> Result<Value, ()> {
    let text = response.text().await.map_err(drop)?;
    serde_json::from_str(&text).map_err(drop)
}

/// Whether waiting can help.
fn passes(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
