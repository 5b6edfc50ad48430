//! An issuer that says whatever a test wants it to: honest in everything but what it is told to forge.

use std::{
    collections::HashMap,
    net::SocketAddr,
    process::Command,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Form, Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A key pair: the private half for signing, the public one for everybody.
#[derive(Clone)]
pub struct Key {
    pub id: String,
    pub private: EncodingKey,
    pub public: Value,
    pub public_pem: Vec<u8>,
}

/// An RSA key of its own for each `id`, drawn once per process.
pub fn key(id: &str) -> Key {
    static KEYS: OnceLock<Mutex<HashMap<String, Key>>> = OnceLock::new();
    let mut keys = KEYS.get_or_init(Mutex::default).lock();
    keys.entry(id.to_owned()).or_insert_with(|| draw(id)).clone()
}

fn draw(id: &str) -> Key {
    let run = |command: &mut Command| {
        let output = command.output().expect("run openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    let arguments = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"];
    run(Command::new("openssl").args(arguments).arg(&file));
    let public_pem = run(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&file));
    let private = EncodingKey::from_rsa_pem(&std::fs::read(&file).unwrap()).unwrap();
    let mut public = Jwk::from_encoding_key(&private, Algorithm::RS256).unwrap();
    public.common.key_id = Some(id.to_owned());
    Key { id: id.to_owned(), private, public: serde_json::to_value(public).unwrap(), public_pem }
}

/// Signs claims honestly.
pub fn sign(key: &Key, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(key.id.clone());
    jsonwebtoken::encode(&header, claims, &key.private).unwrap()
}

/// A token that nobody signed.
pub fn unsigned(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    format!("{}.{}.{}", part(header.to_string().as_bytes()), part(claims.to_string().as_bytes()), part(signature))
}

/// How the token endpoint answers a code.
#[derive(Clone)]
pub enum Answer {
    /// With this ID token.
    Token(String),
    /// By sending elsewhere.
    Elsewhere,
    /// With more than anybody needs.
    Endless,
}

#[derive(Default)]
struct Told {
    codes: HashMap<String, (String, Answer)>,
    keys: Vec<Value>,
    says_iss: bool,
    issuer: String,
}

/// The issuer.
#[derive(Clone)]
pub struct Issuer {
    pub url: String,
    told: Arc<Mutex<Told>>,
    key_reads: Arc<AtomicUsize>,
    elsewhere: Arc<AtomicUsize>,
}

impl Issuer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let told = Told { keys: vec![key("one").public], issuer: url.clone(), ..Told::default() };
        let issuer =
            Self { url, told: Arc::new(Mutex::new(told)), key_reads: Arc::default(), elsewhere: Arc::default() };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/elsewhere", get(elsewhere).post(elsewhere))
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        issuer
    }

    /// Gives out a code for a sign-in whose challenge this is.
    pub fn give(&self, challenge: &str, answer: Answer) -> String {
        let mut told = self.told.lock();
        let code = format!("code-{}", told.codes.len());
        told.codes.insert(code.clone(), (challenge.to_owned(), answer));
        code
    }

    /// Says in answers who it is, and that it always does.
    pub fn say_iss(&self) {
        self.told.lock().says_iss = true;
    }

    /// Says in its discovery document that it is another.
    pub fn call_itself(&self, issuer: &str) {
        issuer.clone_into(&mut self.told.lock().issuer);
    }

    /// Has these keys from now on.
    pub fn have_keys(&self, keys: Vec<Value>) {
        self.told.lock().keys = keys;
    }

    /// How often its keys were read.
    pub fn key_reads(&self) -> usize {
        self.key_reads.load(Ordering::SeqCst)
    }

    /// How often somebody went where it sent them.
    pub fn followed(&self) -> usize {
        self.elsewhere.load(Ordering::SeqCst)
    }
}

async fn discovery(State(issuer): State<Issuer>) -> Json<Value> {
    let told = issuer.told.lock();
    let url = &issuer.url;
    Json(json!({
        "issuer": told.issuer,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": told.says_iss,
    }))
}

async fn keys(State(issuer): State<Issuer>) -> Json<Value> {
    issuer.key_reads.fetch_add(1, Ordering::SeqCst);
    Json(json!({ "keys": issuer.told.lock().keys }))
}

async fn elsewhere(State(issuer): State<Issuer>) -> &'static str {
    issuer.elsewhere.fetch_add(1, Ordering::SeqCst);
    "{}"
}

/// Takes a code once, from whoever proves to have asked for it.
async fn token(State(issuer): State<Issuer>, Form(form): Form<HashMap<String, String>>) -> Response {
    let given = form.get("code").and_then(|code| issuer.told.lock().codes.remove(code));
    let verifier = form.get("code_verifier").cloned().unwrap_or_default();
    let proved = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    match given.filter(|(challenge, _)| *challenge == proved) {
        None => (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response(),
        Some((_, Answer::Token(token))) => {
            Json(json!({"access_token": "x", "token_type": "Bearer", "id_token": token})).into_response()
        }
        Some((_, Answer::Elsewhere)) => Redirect::temporary(&format!("{}/elsewhere", issuer.url)).into_response(),
        Some((_, Answer::Endless)) => " ".repeat(3 << 20).into_response(),
    }
}
