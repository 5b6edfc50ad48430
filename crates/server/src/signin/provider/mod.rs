//! The company's issuer: found by discovery, asked with code and PKCE, never trusted further than its signature.
//!
//! Owns: [`Provider`]: its addresses and keys (kept, and read again), the address that a browser is sent to, and the
//! exchange of a code for an identity. Sources: OpenID Connect Core and Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (`iss`).

pub(crate) mod claims;
pub(crate) mod fetch;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use naru_base::time::now_us;
use naru_project::SignInSettings;
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

use claims::{Expected, Fault, Identity};
use fetch::{FetchError, fetch};

/// How long what discovery said is taken for true.
const DISCOVERED_FOR: Duration = Duration::from_hours(1);

/// How long keys are taken for all there are.
const KEYS_FOR: Duration = Duration::from_hours(1);

/// An unknown key makes us read the keys again, at most this often.
const KEYS_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Why the issuer lets nobody in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    /// It cannot be asked.
    #[error("{what} could not be read from the issuer")]
    Unreachable {
        /// What was asked for.
        what: &'static str,
        /// Why not.
        #[source]
        source: FetchError,
    },
    /// Its answer is not what the standard says.
    #[error("{what} of the issuer cannot be used: {why}")]
    Unusable {
        /// What was asked for.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// It did not take the code.
    #[error("the issuer refused the sign-in ({0})")]
    Refused(String),
    /// Its token lets nobody in.
    #[error(transparent)]
    Token(#[from] Fault),
}

/// What discovery says.
#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Debug, Deserialize)]
struct Exchanged {
    id_token: Option<String>,
}

#[derive(Debug, Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// One sign-in's secrets: what only this naru and the issuer know of it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Goes to the issuer and comes back through the browser.
    pub state: String,
    /// Comes back inside the ID token.
    pub nonce: String,
    /// Proves at the exchange that it was us who asked.
    pub verifier: String,
}

impl Asked {
    /// Draws all three from the operating system's randomness.
    pub(crate) fn draw() -> Self {
        Self { state: random(), nonce: random(), verifier: random() }
    }
}

/// 256 random bits as text.
pub(crate) fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// Keys as they were read.
#[derive(Debug)]
struct Keys {
    read: Instant,
    /// When an unknown key last made us read them.
    asked_again: Option<Instant>,
    all: Arc<Vec<Jwk>>,
}

/// The issuer of one naru.
#[derive(Debug)]
pub(crate) struct Provider {
    settings: SignInSettings,
    client: Client,
    metadata: Mutex<Option<(Instant, Arc<Metadata>)>>,
    keys: Mutex<Option<Keys>>,
}

impl Provider {
    pub(crate) fn new(settings: SignInSettings) -> Result<Self, reqwest::Error> {
        Ok(Self { settings, client: fetch::client()?, metadata: Mutex::default(), keys: Mutex::default() })
    }

    /// What the settings say.
    pub(crate) fn settings(&self) -> &SignInSettings {
        &self.settings
    }

    /// Where the browser goes to sign in. A `quiet` sign-in asks nobody anything: it works while the person is signed in
    /// at the issuer. `choose` lets them take another account.
    pub(crate) async fn address(&self, asked: &Asked, quiet: bool, choose: bool) -> Result<Url, ProviderError> {
        let mut address = self.metadata().await?.authorization_endpoint.clone();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(asked.verifier.as_bytes()));
        let mut query = address.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &self.settings.redirect_uri())
            .append_pair("scope", "openid email profile")
            .append_pair("state", &asked.state)
            .append_pair("nonce", &asked.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if let Some(domain) = self.settings.hosted_domain() {
            // A hint only: what counts is the claim in the token.
            query.append_pair("hd", domain);
        }
        if quiet {
            query.append_pair("prompt", "none");
        } else if choose {
            query.append_pair("prompt", "select_account");
        }
        drop(query);
        Ok(address)
    }

    /// Whether an answer through the browser may be this issuer's, by what it says of itself: an answer of another one
    /// must not be taken to ours.
    pub(crate) async fn answered_by(&self, iss: Option<&str>) -> Result<bool, ProviderError> {
        Ok(match iss {
            Some(iss) => iss == self.settings.issuer,
            None => !self.metadata().await?.authorization_response_iss_parameter_supported,
        })
    }

    /// Exchanges a code for whom it is about.
    pub(crate) async fn exchange(&self, code: &str, asked: &Asked) -> Result<Identity, ProviderError> {
        let metadata = self.metadata().await?;
        let what = "the answer to the code";
        let request = self.authenticated(&metadata, code, asked);
        let answer = fetch(request).await.map_err(|source| ProviderError::Unreachable { what, source })?;
        let (status, body) = answer;
        if status != StatusCode::OK {
            return Err(ProviderError::Refused(oauth_error(&body).unwrap_or_else(|| status.as_u16().to_string())));
        }
        let unusable = |why: String| ProviderError::Unusable { what, why };
        let exchanged: Exchanged = serde_json::from_slice(&body).map_err(|_| unusable("it is no JSON".to_owned()))?;
        let token = exchanged.id_token.ok_or_else(|| unusable("it has no ID token".to_owned()))?;
        self.identify(&metadata, &token, asked).await
    }

    async fn identify(&self, metadata: &Metadata, token: &str, asked: &Asked) -> Result<Identity, ProviderError> {
        let expected = Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            nonce: &asked.nonce,
            domains: &self.settings.domains,
            domain_from: self.settings.domain_from,
        };
        let now_s = now_us() / 1_000_000;
        let keys = self.keys(metadata, false).await?;
        match claims::verify(token, &keys, &expected, now_s) {
            Err(Fault::UnknownKey) => {
                let keys = self.keys(metadata, true).await?;
                Ok(claims::verify(token, &keys, &expected, now_s)?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// The request for the exchange, with the client's secret where the issuer wants it.
    fn authenticated(&self, metadata: &Metadata, code: &str, asked: &Asked) -> RequestBuilder {
        let redirect = self.settings.redirect_uri();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect),
            ("code_verifier", &asked.verifier),
        ];
        let request = self.client.post(metadata.token_endpoint.clone());
        let id = self.settings.client_id.as_str();
        let methods = metadata.token_endpoint_auth_methods_supported.as_deref();
        let basic = methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"));
        let Some(secret) = &self.settings.client_secret else {
            form.push(("client_id", id));
            return request.form(&form);
        };
        if basic {
            let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            return request.basic_auth(part(id), Some(part(secret.expose()))).form(&form);
        }
        form.extend([("client_id", id), ("client_secret", secret.expose())]);
        request.form(&form)
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        if let Some((at, metadata)) = self.metadata.lock().as_ref()
            && at.elapsed() < DISCOVERED_FOR
        {
            return Ok(metadata.clone());
        }
        // Nobody waits for another's question: an issuer that is slow to one is not slow to all.
        let what = "the discovery document";
        let address = format!("{}/.well-known/openid-configuration", self.settings.issuer.trim_end_matches('/'));
        let found: Metadata = self.read(what, self.client.get(address)).await?;
        check(&found, &self.settings.issuer).map_err(|why| ProviderError::Unusable { what, why })?;
        let found = Arc::new(found);
        *self.metadata.lock() = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    /// The issuer's keys, read again when they are old, or when one is `unknown` that the issuer may have made since.
    async fn keys(&self, metadata: &Metadata, unknown: bool) -> Result<Arc<Vec<Jwk>>, ProviderError> {
        let mut asked_again = None;
        if let Some(keys) = self.keys.lock().as_mut().filter(|keys| keys.read.elapsed() < KEYS_FOR) {
            let again = unknown && keys.asked_again.is_none_or(|at| at.elapsed() >= KEYS_AGAIN_AFTER);
            if !again {
                return Ok(keys.all.clone());
            }
            asked_again = Some(Instant::now());
            // Said before they are read: one question at a time for keys that may not exist.
            keys.asked_again = asked_again;
        }
        let set: KeySet = self.read("the keys", self.client.get(metadata.jwks_uri.clone())).await?;
        // A key of a kind that is unknown here is no reason not to know the others.
        let keys: Vec<Jwk> = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
        let keys = Arc::new(keys);
        *self.keys.lock() = Some(Keys { read: Instant::now(), asked_again, all: keys.clone() });
        Ok(keys)
    }

    async fn read<T: for<'de> Deserialize<'de>>(
        &self,
        what: &'static str,
        request: RequestBuilder,
    ) -> Result<T, ProviderError> {
        let (status, body) = fetch(request).await.map_err(|source| ProviderError::Unreachable { what, source })?;
        if status != StatusCode::OK {
            return Err(ProviderError::Unusable { what, why: format!("it answers with status {}", status.as_u16()) });
        }
        serde_json::from_slice(&body).map_err(|error| ProviderError::Unusable { what, why: error.to_string() })
    }
}

/// What a discovery document must say, and that it sends nothing over an open line.
fn check(found: &Metadata, issuer: &str) -> Result<(), String> {
    if found.issuer != issuer {
        return Err(format!("it is that of \"{}\"", found.issuer));
    }
    let plain = issuer.starts_with("http://");
    for (name, address) in [
        ("authorization_endpoint", &found.authorization_endpoint),
        ("token_endpoint", &found.token_endpoint),
        ("jwks_uri", &found.jwks_uri),
    ] {
        if address.scheme() != "https" && !(plain && address.scheme() == "http") {
            return Err(format!("its {name} is not https"));
        }
    }
    let challenges = found.code_challenge_methods_supported.as_deref();
    if challenges.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
        return Err("it does not take code challenges by S256".to_owned());
    }
    Ok(())
}

/// The error's word in an answer, if it is one.
fn oauth_error(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Error {
        error: String,
    }
    let error: Error = serde_json::from_slice(body).ok()?;
    error_word(&error.error)
}

/// A word that a standard could have for an error; anything else is somebody's text.
pub(crate) fn error_word(text: &str) -> Option<String> {
    let word = !text.is_empty() && text.len() <= 60 && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    word.then(|| text.to_owned())
}
