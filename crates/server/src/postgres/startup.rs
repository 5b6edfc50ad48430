//! Sign-in: the user is a token's holder, the password the token, the database the project.
//!
//! Owns: the startup exchange and the state of one connection. There is no default user and no empty password.
//! Cleartext passwords are asked for because doors open to this machine only.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Arc, Weak},
};

use async_trait::async_trait;
use futures::Sink;
use naru_access::{
    Entry,
    audit::{Door, Origin},
};
use naru_warehouse::{Session, SessionOptions, Warehouse};
use parking_lot::Mutex;
use pgwire::{
    api::{
        ClientInfo, METADATA_DATABASE, METADATA_USER,
        auth::{
            AuthDriver, AuthOutcome, AuthSource, DefaultServerParameterProvider, LoginInfo, Password, StartupHandler,
            cleartext::CleartextPasswordAuth, mechanism::AuthMechanismFactory, protocol_negotiation,
            save_startup_parameters_to_metadata,
        },
        cancel::CancelHandler,
    },
    error::{PgWireError, PgWireResult},
    messages::{PgWireBackendMessage, PgWireFrontendMessage, cancel::CancelRequest},
};
use tokio_util::sync::CancellationToken;

use super::{Tokens, cursor::Cursor, problem};

/// Letters of a client's name that are kept.
const CLIENT_CHARS_MAX: usize = 80;

/// The PostgreSQL whose behaviour clients may expect.
pub const SERVER_VERSION: &str = "15.0 (naru)";

/// What someone without a token that fits is told.
const REMEDY: &str = "The user is your e-mail (or the name of a service account or token of the project) and the password \
                      a token: the console's settings make one, and so does `naru token new NAME`.";

/// One signed-in connection.
pub struct Connection {
    /// Its SQL session, which knows who asks.
    pub session: Session,
    /// Settings a client changed that mean nothing here but are shown again.
    pub settings: Mutex<HashMap<String, String>>,
    /// Open cursors, by name.
    pub cursors: Mutex<HashMap<String, Cursor>>,
    running: Mutex<CancellationToken>,
    /// Cancelled to end the connection.
    left: CancellationToken,
    tokens: Arc<dyn Tokens>,
    /// The number of the token it came in with.
    token: i64,
}

impl Connection {
    /// Refuses, and so ends, a connection whose token was revoked or has expired since it came in.
    pub async fn check(&self) -> PgWireResult<()> {
        if self.tokens.stands(self.token).await.map_err(|problem| problem::of_problem(&problem))? {
            return Ok(());
        }
        let text = format!("the token of \"{}\" was revoked or has expired", self.session.principal());
        Err(problem::fatal("57P01", text, REMEDY))
    }

    /// A token for the query that starts now; a cancel request reaches it until the next one starts.
    pub fn begin_query(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *self.running.lock() = token.clone();
        token
    }
}

/// What all connections of one door share.
pub struct Desk {
    warehouse: Warehouse,
    tokens: Arc<dyn Tokens>,
    /// Open connections by process id and secret key, for cancel requests.
    pub connections: Arc<Connections>,
}

impl Desk {
    /// Nobody is in yet.
    pub fn new(warehouse: Warehouse, tokens: Arc<dyn Tokens>) -> Self {
        Self { warehouse, tokens, connections: Arc::default() }
    }

    /// Ends the connections whose token no longer stands. When that cannot be found out they stay: the next
    /// statement asks again.
    pub async fn sweep(&self) {
        let open: Vec<_> = self.connections.open.lock().values().filter_map(Weak::upgrade).collect();
        for connection in open {
            match self.tokens.stands(connection.token).await {
                Ok(true) => {}
                Ok(false) => connection.left.cancel(),
                Err(problem) => tracing::warn!(%problem, "tokens of open connections could not be checked"),
            }
        }
    }
}

/// Connections by process id and secret key, for cancel requests.
#[derive(Default)]
pub struct Connections {
    open: Mutex<HashMap<CancelKey, Weak<Connection>>>,
}

/// Process id and secret, as a cancel request names a connection.
type CancelKey = (i32, Vec<u8>);

impl Connections {
    fn insert(&self, key: CancelKey, connection: &Arc<Connection>) {
        let mut open = self.open.lock();
        open.retain(|_, other| other.strong_count() > 0);
        open.insert(key, Arc::downgrade(connection));
    }
}

#[async_trait]
impl CancelHandler for Connections {
    async fn on_cancel_request(&self, request: CancelRequest) {
        let key = (request.pid, request.secret_key.to_bytes().to_vec());
        let found = self.open.lock().get(&key).and_then(Weak::upgrade);
        if let Some(connection) = found {
            connection.running.lock().cancel();
        }
    }
}

/// Checks passwords against tokens.
struct Passwords(Arc<dyn Tokens>);

impl Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

#[async_trait]
impl AuthSource<Entry> for Passwords {
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        Err(PgWireError::InvalidPassword(login.user().unwrap_or_default().to_owned()))
    }

    async fn verify_password(&self, login: &LoginInfo, password: &[u8]) -> PgWireResult<Option<Entry>> {
        let user = login.user().unwrap_or_default();
        let password = std::str::from_utf8(password).unwrap_or_default();
        let known = if user.is_empty() || password.is_empty() {
            None
        } else {
            let from = login.host().parse().ok();
            self.0.enter(user, password, from).await.map_err(|problem| problem::of_problem(&problem))?
        };
        known
            .map(Some)
            .ok_or_else(|| problem::fatal("28P01", format!("token \"{user}\" does not exist or does not fit"), REMEDY))
    }
}

/// The startup exchange of one connection.
pub struct Startup {
    desk: Arc<Desk>,
    passwords: CleartextPasswordAuth<Passwords>,
    driver: AuthDriver<DefaultServerParameterProvider, Entry>,
    left: CancellationToken,
}

impl Startup {
    /// Checks a sign-in at this desk; `left` ends the connection.
    pub fn new(desk: Arc<Desk>, left: CancellationToken) -> Self {
        let mut parameters = DefaultServerParameterProvider::default();
        SERVER_VERSION.clone_into(&mut parameters.server_version);
        parameters.is_superuser = false;
        parameters.search_path = String::new();
        parameters.default_transaction_read_only = true;
        parameters.time_zone.clone_from(&desk.warehouse.settings().time_zone);
        Self {
            passwords: CleartextPasswordAuth::new(Arc::new(Passwords(desk.tokens.clone()))),
            driver: AuthDriver::new(parameters),
            desk,
            left,
        }
    }

    /// The database must be the project: a connection string that names another one is a mistake to be told.
    fn check_database(&self, client: &impl ClientInfo) -> PgWireResult<()> {
        let metadata = client.metadata();
        let database = metadata.get(METADATA_DATABASE).or_else(|| metadata.get(METADATA_USER));
        let project = &self.desk.warehouse.settings().project;
        if database == Some(project) {
            return Ok(());
        }
        let database = database.map_or("", String::as_str);
        let hint = format!("The database of this naru is its project, \"{project}\".");
        Err(problem::fatal("3D000", format!("database \"{database}\" does not exist"), &hint))
    }

    fn connect(&self, client: &impl ClientInfo, entry: Entry) -> PgWireResult<()> {
        let default_dataset = client.metadata().get("options").and_then(|options| search_path(options));
        let options = SessionOptions {
            default_dataset,
            postgres_casts: true,
            origin: Some(origin(client)),
            ..SessionOptions::of(entry.principal)
        };
        let session = self.desk.warehouse.session(options).map_err(|error| problem::of_problem(&error.problem()))?;
        let connection = Connection {
            session,
            settings: Mutex::default(),
            cursors: Mutex::default(),
            running: Mutex::new(CancellationToken::new()),
            left: self.left.clone(),
            tokens: self.desk.tokens.clone(),
            token: entry.token,
        };
        client.session_extensions().insert::<Arc<Connection>>(Arc::new(connection));
        Ok(())
    }
}

/// Where a client comes from, as it calls itself.
fn origin(client: &impl ClientInfo) -> Origin {
    let name = client.metadata().get("application_name").map_or("", String::as_str);
    let shown = name.chars().filter(|c| !c.is_control()).take(CLIENT_CHARS_MAX);
    let client_name = if name.is_empty() { "a Postgres client".to_owned() } else { shown.collect() };
    Origin { door: Door::Postgres, address: Some(client.socket_addr().ip()), client: client_name }
}

/// The first schema of `-c search_path=…` in a client's options.
fn search_path(options: &str) -> Option<String> {
    let (_, rest) = options.split_once("search_path=")?;
    let first = rest.split([',', ' ']).next()?.trim_matches('"');
    (!first.is_empty() && first != "public").then(|| first.to_owned())
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match message {
            PgWireFrontendMessage::Startup(startup) => {
                protocol_negotiation(client, &startup).await?;
                save_startup_parameters_to_metadata(client, &startup);
                self.driver.begin_authentication(client, self.passwords.create()).await?;
            }
            PgWireFrontendMessage::PasswordMessageFamily(message) => {
                let outcome = self.driver.advance_authentication(client, message).await?;
                if let AuthOutcome::Authenticated { identity: Some(entry), final_message } = outcome {
                    self.check_database(client)?;
                    self.connect(client, entry)?;
                    self.driver.complete_authentication(client, final_message).await?;
                    let (process, secret) = client.pid_and_secret_key();
                    if let Some(connection) = client.session_extensions().get::<Arc<Connection>>() {
                        self.desk.connections.insert((process, secret.to_bytes().to_vec()), &connection);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
