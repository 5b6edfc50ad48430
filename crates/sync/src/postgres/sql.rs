//! Ordinary SQL connections, by the same settings and the same TLS rules as the replication connection.
//!
//! Owns: opening a `tokio_postgres` client and cancelling its query. Never decides what to ask.

use std::{future::Future, io, pin::Pin};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    CancelToken, Client, Config,
    config::SslMode as ClientSslMode,
    tls::{ChannelBinding, NoTls, TlsConnect, TlsStream as BoundStream},
};
use tokio_rustls::client::TlsStream;

use super::{
    auth::SESSION_PARAMETERS,
    error::PostgresError,
    settings::{ConnectSettings, SslMode},
    tls::TlsClient,
    transport::{Socket, server_end_point},
};

/// Connects for ordinary queries and `COPY`; the connection's task ends when the client is dropped.
///
/// The session speaks ISO dates in UTC, as [`super::types`] expects of text.
///
/// # Errors
/// Everything that [`PostgresError`] says about connecting; the server's refusal as [`PostgresError::Server`].
pub async fn connect_sql(settings: &ConnectSettings) -> Result<Client, PostgresError> {
    let seconds = settings.connect_timeout.as_secs();
    tokio::time::timeout(settings.connect_timeout, connect(settings))
        .await
        .unwrap_or_else(|_| Err(PostgresError::TimedOut { address: settings.address(), during: "connecting", seconds }))
}

/// Asks the server to cancel what the token's client is doing; it may be too late, and nothing says so.
///
/// # Errors
/// No second connection could be made.
pub async fn cancel_query(settings: &ConnectSettings, token: &CancelToken) -> Result<(), PostgresError> {
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
