//! A naru that people sign in to, and a browser.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::any,
};
use naru_access::{People, Tokens, audit::Audit};
use naru_project::{DomainFrom, SignInSettings};
use naru_server::{
    Door, Doorway, Listen,
    http::{self, Metrics},
    signin::{self, Options, SignIn},
};
use naru_store::Store;
use reqwest::{Client, Method, StatusCode, header, redirect::Policy};
use serde_json::{Value, json};
use url::Url;

use crate::issuer::{Answer, Issuer, key, sign};

/// A naru with sign-in and nothing else.
pub struct World {
    pub base: String,
    pub people: People,
    pub tokens: Tokens,
    pub signin: SignIn,
    pub audit: Audit,
    pub issuer: Issuer,
    _door: Door,
    _folder: tempfile::TempDir,
}

/// Sign-in at an issuer, for a naru at an address.
pub fn settings(issuer: &str, base: &str) -> SignInSettings {
    SignInSettings {
        issuer: issuer.to_owned(),
        client_id: naru_testkit::provider::CLIENT_ID.to_owned(),
        client_secret: Some(naru_base::Secret::new(naru_testkit::provider::CLIENT_SECRET)),
        domains: vec!["acme.kr".to_owned()],
        domain_from: DomainFrom::Hd,
        admins: Vec::new(),
        url: base.parse().unwrap(),
    }
}

async fn who(State(signin): State<SignIn>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    match signin.caller(&parts).await {
        Ok(caller) => caller.principal.name().to_owned().into_response(),
        Err(problem) => problem.into_response(),
    }
}

impl World {
    /// A naru whose people sign in with an issuer of the test's own.
    pub async fn new() -> Self {
        let issuer = Issuer::start().await;
        let url = issuer.url.clone();
        Self::with(issuer, naru_testkit::port::free(), move |base| Some(settings(&url, base))).await
    }

    /// A naru at a port.
    pub async fn with(issuer: Issuer, port: u16, sign_in: impl FnOnce(&str) -> Option<SignInSettings>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("naru.db")).unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let options = Options {
            project: "acme".to_owned(),
            project_id: "abcdefgh".to_owned(),
            sign_in: sign_in(&base),
            proxies: Vec::new(),
            secure: false,
        };
        let audit = Audit::open(store.clone(), false);
        let signin = SignIn::new(&store, audit.clone(), options).unwrap();
        let more = signin::router(signin.clone())
            .merge(Router::new().route("/api/v1/me", any(who)).with_state(signin.clone()));
        let ready = Arc::new(Vec::<String>::new);
        let listen = Listen::At(SocketAddr::from(([127, 0, 0, 1], port)));
        let door = http::serve(Doorway::from(listen), ready, Metrics::default(), None, Some(more));
        Self {
            _door: door.await.unwrap().unwrap(),
            base,
            people: People::new(store.clone()),
            tokens: Tokens::new(store),
            signin,
            audit,
            issuer,
            _folder: folder,
        }
    }

    pub fn browser(&self) -> Browser {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Browser { base: self.base.clone(), cookies: BTreeMap::new(), client }
    }

    /// What the issuer would honestly say of somebody.
    pub fn claims(&self, subject: &str, nonce: &str) -> Value {
        let now = naru_base::time::now_us() / 1_000_000;
        json!({
            "iss": self.issuer.url, "sub": subject, "aud": "naru", "exp": now + 300, "iat": now, "nonce": nonce,
            "email": format!("{subject}@acme.kr"), "email_verified": true, "hd": "acme.kr", "name": subject,
        })
    }

    /// Signs somebody in, honestly.
    pub async fn sign_in(&self, browser: &mut Browser, subject: &str) {
        let begun = browser.begin("/").await;
        let token = sign(&key("one"), &self.claims(subject, &begun.nonce));
        let code = self.issuer.give(&begun.challenge, Answer::Token(token));
        let to = browser.end(&begun.state, &code, "").await;
        assert_eq!(to, "/", "the sign-in was refused");
    }
}

/// A sign-in on its way to the issuer.
pub struct Begun {
    pub state: String,
    pub nonce: String,
    pub challenge: String,
    pub address: Url,
}

/// A browser: it keeps cookies and follows nothing by itself.
#[derive(Clone)]
pub struct Browser {
    pub base: String,
    pub cookies: BTreeMap<String, String>,
    client: Client,
}

/// An answer that a browser got.
pub struct Got {
    pub status: StatusCode,
    pub location: String,
    pub set: Vec<String>,
    pub body: String,
}

impl Browser {
    pub async fn ask(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Got {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let mut request = self.client.request(method, url).body(body.to_owned());
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, pairs.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let text = |value: &header::HeaderValue| value.to_str().unwrap().to_owned();
        let set: Vec<String> = response.headers().get_all(header::SET_COOKIE).iter().map(text).collect();
        for cookie in &set {
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = response.headers().get(header::LOCATION).map(text).unwrap_or_default();
        Got { status: response.status(), location, set, body: response.text().await.unwrap() }
    }

    pub async fn get(&mut self, path: &str) -> Got {
        self.ask(Method::GET, path, &[], "").await
    }

    /// As our own page sends it.
    pub async fn post(&mut self, path: &str, body: &Value) -> Got {
        let origin = self.base.clone();
        let headers = [("origin", origin.as_str()), ("x-naru", "1"), ("content-type", "application/json")];
        self.ask(Method::POST, path, &headers, &body.to_string()).await
    }

    /// Who it is signed in as; `None` when as nobody.
    pub async fn me(&mut self) -> Option<String> {
        let got = self.get("/api/v1/me").await;
        (got.status == StatusCode::OK).then_some(got.body)
    }

    /// Goes off to sign in.
    pub async fn begin(&mut self, to: &str) -> Begun {
        let start = Url::parse_with_params(&format!("{}/signin/start", self.base), [("to", to)]).unwrap();
        let got = self.get(start.as_str()).await;
        assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
        let address = Url::parse(&got.location).unwrap_or_else(|_| panic!("no way to sign in: {}", got.location));
        let query: BTreeMap<String, String> = address.query_pairs().into_owned().collect();
        assert_eq!((query["code_challenge_method"].as_str(), query["response_type"].as_str()), ("S256", "code"));
        Begun {
            state: query["state"].clone(),
            nonce: query["nonce"].clone(),
            challenge: query["code_challenge"].clone(),
            address,
        }
    }

    /// Comes back from the issuer; gives where it is sent on to.
    pub async fn end(&mut self, state: &str, code: &str, more: &str) -> String {
        self.get(&format!("/signin/callback?state={state}&code={code}{more}")).await.location
    }
}
