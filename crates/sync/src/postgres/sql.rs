//! Ordinary SQL connections, by the same settings and the same TLS rules as the replication connection.
//!
//! Owns: opening a `tokio_postgres` client, how long an answer is waited for, and cancelling a query.
//! Never decides what to ask.

use std::{future::Future, io, ops::Deref, pin::Pin, time::Duration};

use thiserror::Error;

use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio_postgres::{
    CancelToken, Client, Config, Row,
    config::SslMode as ClientSslMode,
    tls::{ChannelBinding, NoTls, TlsConnect, TlsStream as BoundStream},
    types::ToSql,
};
use tokio_rustls::client::TlsStream;

use super::{
    auth::SESSION_PARAMETERS,
    error::PostgresError,
    settings::{ConnectSettings, SslMode},
    tls::TlsClient,
    transport::{Socket, server_end_point},
};

/// How long a question to the catalog may stay without an answer. None of them waits for a lock longer than its own
/// `lock_timeout`, so that silence means a way on which nothing arrives any more.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Bytes read from the socket at once.
const READ_BYTES: usize = 64 << 10;

/// A connection for catalog questions and `COPY`.
///
/// Its own methods wait at most ten seconds for their answer. What takes longer by nature (`copy_out`) is reached
/// through the client below, and has no such bound.
#[derive(Debug)]
pub struct SqlClient {
    client: Client,
    address: String,
}

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum QueryError {
    /// The server refused, or the connection ended.
    #[error(transparent)]
    Refused(#[from] tokio_postgres::Error),
    /// Nothing came.
    #[error(transparent)]
    Silent(PostgresError),
}

/// Parameters of a question, as `tokio_postgres` takes them.
type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

impl SqlClient {
    async fn answered<T>(
        &self,
        question: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, QueryError> {
        match tokio::time::timeout(ANSWER_MAX, question).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(QueryError::Silent(PostgresError::TimedOut {
                address: self.address.clone(),
                during: "asking the catalog",
                seconds: ANSWER_MAX.as_secs(),
            })),
        }
    }

    /// All rows of a query.
    ///
    /// # Errors
    /// The server's refusal, or its silence.
    pub async fn query(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, QueryError> {
        self.answered(self.client.query(sql, parameters)).await
    }

    /// The one row of a query.
    ///
    /// # Errors
    /// As [`SqlClient::query`]; also when there is not exactly one row.
    pub async fn query_one(&self, sql: &str, parameters: Parameters<'_>) -> Result<Row, QueryError> {
        self.answered(self.client.query_one(sql, parameters)).await
    }

    /// The row of a query, if it has one.
    ///
    /// # Errors
    /// As [`SqlClient::query`]; also when there is more than one row.
    pub async fn query_opt(&self, sql: &str, parameters: Parameters<'_>) -> Result<Option<Row>, QueryError> {
        self.answered(self.client.query_opt(sql, parameters)).await
    }

    /// Runs a statement and tells how many rows it touched.
    ///
    /// # Errors
    /// As [`SqlClient::query`].
    pub async fn execute(&self, sql: &str, parameters: Parameters<'_>) -> Result<u64, QueryError> {
        self.answered(self.client.execute(sql, parameters)).await
    }

    /// Runs statements in one message.
    ///
    /// # Errors
    /// As [`SqlClient::query`].
    pub async fn batch_execute(&self, sql: &str) -> Result<(), QueryError> {
        self.answered(self.client.batch_execute(sql)).await
    }
}

impl Deref for SqlClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// Connects for ordinary queries and `COPY`; the connection's task ends when the client is dropped.
///
/// The session speaks ISO dates in UTC, as [`super::types`] expects of text.
///
/// # Errors
/// Everything that [`PostgresError`] says about connecting; the server's refusal as [`PostgresError::Server`].
pub async fn connect_sql(settings: &ConnectSettings) -> Result<SqlClient, PostgresError> {
    let seconds = settings.connect_timeout.as_secs();
    let client = tokio::time::timeout(settings.connect_timeout, connect(settings)).await.unwrap_or_else(|_| {
        Err(PostgresError::TimedOut { address: settings.address(), during: "connecting", seconds })
    })?;
    Ok(SqlClient { client, address: settings.address() })
}

/// Waits for an answer of a replication connection as long as [`SqlClient`] waits for one.
///
/// # Errors
/// The server's silence, beside what the question itself fails with.
pub(crate) async fn within<T>(
    settings: &ConnectSettings,
    during: &'static str,
    question: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    let silent = |_| PostgresError::TimedOut { address: settings.address(), during, seconds: ANSWER_MAX.as_secs() };
    tokio::time::timeout(ANSWER_MAX, question).await.map_err(silent)?
}

/// Asks the server to cancel what the token's client is doing; it may be too late, and nothing says so.
///
/// # Errors
/// No second connection could be made.
pub async fn cancel_query(settings: &ConnectSettings, token: &CancelToken) -> Result<(), PostgresError> {
    let cancelling = cancel(settings, token);
    tokio::time::timeout(settings.connect_timeout, cancelling).await.unwrap_or_else(|_| {
        let seconds = settings.connect_timeout.as_secs();
        Err(PostgresError::TimedOut { address: settings.address(), during: "cancelling a query", seconds })
    })
}

async fn cancel(settings: &ConnectSettings, token: &CancelToken) -> Result<(), PostgresError> {
    let socket = Socket::open(settings).await?;
    let sent = match TlsClient::new(settings).await? {
        None => token.cancel_query_raw(socket, NoTls).await,
        Some(tls) => token.cancel_query_raw(socket, Connector(tls)).await,
    };
    sent.map_err(PostgresError::from)
}

async fn connect(settings: &ConnectSettings) -> Result<Client, PostgresError> {
    let tls = TlsClient::new(settings).await?;
    let socket = Socket::open(settings).await?;
    let config = client_config(settings, tls.is_some());
    let failed = |error| connect_error(settings, error);
    match tls {
        None => {
            // The client library reads 8 KB at a time, whatever waits.
            let socket = BufReader::with_capacity(READ_BYTES, socket);
            let (client, connection) = config.connect_raw(socket, NoTls).await.map_err(failed)?;
            drive(connection);
            Ok(client)
        }
        Some(tls) => {
            let (client, connection) = config.connect_raw(socket, Connector(tls)).await.map_err(failed)?;
            drive(connection);
            Ok(client)
        }
    }
}

/// Runs a connection until its client is dropped; the client learns of an error by its own calls.
fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %naru_base::problem::chain(&error), "a connection to the source ended");
        }
    });
}

fn client_config(settings: &ConnectSettings, tls: bool) -> Config {
    let mut config = Config::new();
    config
        .user(&settings.user)
        .dbname(&settings.database)
        .application_name(&settings.application_name)
        .options(SESSION_PARAMETERS.map(|(name, value)| format!("-c {name}={value}")).join(" "))
        .ssl_mode(match settings.ssl_mode {
            _ if !tls => ClientSslMode::Disable,
            SslMode::Disable => ClientSslMode::Disable,
            SslMode::Prefer => ClientSslMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => ClientSslMode::Require,
        });
    if let Some(password) = &settings.password {
        config.password(password.expose());
    }
    if settings.channel_binding_required {
        config.channel_binding(tokio_postgres::config::ChannelBinding::Require);
    }
    config
}

/// Names the refusals that the client library tells only as text below its error.
fn connect_error(settings: &ConnectSettings, error: tokio_postgres::Error) -> PostgresError {
    if error.as_db_error().is_some() {
        return error.into();
    }
    let text = naru_base::problem::chain(&error);
    if text.contains("server does not support TLS") {
        return PostgresError::TlsRefused { address: settings.address(), mode: settings.ssl_mode.word() };
    }
    if text.contains("TLS handshake") {
        return PostgresError::Tls { address: settings.address(), source: io::Error::other(error) };
    }
    if text.contains("password missing") {
        let reason = "the server asks for a password, and the URL has none".into();
        return PostgresError::SignIn { address: settings.address(), reason };
    }
    if text.contains("authentication error") {
        return PostgresError::SignIn { address: settings.address(), reason: text.into() };
    }
    PostgresError::Client(error)
}

/// Does the TLS handshake when the client library asks for it.
struct Connector(TlsClient);

/// A TLS stream that can say what it is bound to.
struct Bound(Box<TlsStream<Socket>>);

impl TlsConnect<Socket> for Connector {
    type Stream = Bound;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Bound>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let stream = self.0.connector.connect(self.0.server_name, socket).await?;
            Ok(Bound(Box::new(stream)))
        })
    }
}

impl BoundStream for Bound {
    fn channel_binding(&self) -> ChannelBinding {
        server_end_point(&self.0).map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl AsyncRead for Bound {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Bound {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(context)
    }
}
