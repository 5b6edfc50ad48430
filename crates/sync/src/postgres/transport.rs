//! The byte stream below a connection: TCP or a Unix socket, with TLS on top where the settings say so.
//!
//! Owns: opening it, PostgreSQL's request for TLS. Never speaks the protocol above.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::client::TlsStream;

use super::{
    channel_binding,
    error::PostgresError,
    settings::{ConnectSettings, Host, SslMode},
    tls::TlsClient,
};

/// After how much silence the kernel asks whether the other side is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Pause between two such questions, and how many stay without an answer before the connection is given up.
const KEEPALIVE_AGAIN: Duration = Duration::from_secs(10);
const KEEPALIVES_MAX: u32 = 3;
/// How long what was sent may stay unacknowledged by the other side's kernel. Without it a cut cable is noticed only
/// after about a quarter of an hour of resending.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_MAX_MS: u32 = 60_000;

/// A socket without TLS.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Connects to the server's address.
    pub(crate) async fn open(settings: &ConnectSettings) -> Result<Self, PostgresError> {
        let failed = |source| PostgresError::Connect { address: settings.address(), source };
        match &settings.host {
            Host::Unix(_) => UnixStream::connect(settings.address()).await.map(Self::Unix).map_err(failed),
            Host::Tcp(host) => {
                let stream = TcpStream::connect((host.as_str(), settings.port)).await.map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                notice_silence(&stream);
                Ok(Self::Tcp(stream))
            }
        }
    }
}

/// Lets the kernel notice a way on which nothing arrives any more. Best effort: without it the stream's own watch on
/// silence notices, later.
fn notice_silence(stream: &TcpStream) {
    use rustix::net::sockopt;
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE);
    let _ = sockopt::set_tcp_keepintvl(stream, KEEPALIVE_AGAIN);
    let _ = sockopt::set_tcp_keepcnt(stream, KEEPALIVES_MAX);
    #[cfg(target_os = "linux")]
    let _ = sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED_MAX_MS);
}

/// A socket, with or without TLS.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Transport {
    /// Connects, and asks for TLS where the settings want it.
    pub(crate) async fn open(settings: &ConnectSettings) -> Result<Self, PostgresError> {
        let tls = TlsClient::new(settings).await?;
        let mut socket = Socket::open(settings).await?;
        let Some(tls) = tls else { return Ok(Self::Plain(socket)) };
        if !request_tls(&mut socket).await? {
            return if settings.ssl_mode == SslMode::Prefer {
                Ok(Self::Plain(socket))
            } else {
                Err(PostgresError::TlsRefused { address: settings.address(), mode: settings.ssl_mode.word() })
            };
        }
        match tls.connector.connect(tls.server_name, socket).await {
            Ok(stream) => Ok(Self::Tls(Box::new(stream))),
            Err(source) => Err(PostgresError::Tls { address: settings.address(), source }),
        }
    }

    /// Whether the connection is encrypted.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// What binds a sign-in to this connection; `None` without TLS.
    pub(crate) fn channel_binding(&self) -> Option<Vec<u8>> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => server_end_point(stream),
        }
    }
}

/// The binding data of a TLS stream's server certificate.
pub(crate) fn server_end_point(stream: &TlsStream<Socket>) -> Option<Vec<u8>> {
    let (_, session) = stream.get_ref();
    channel_binding::server_end_point(session.peer_certificates()?.first()?)
}

/// Asks for TLS; false means the server has none.
async fn request_tls(socket: &mut Socket) -> Result<bool, PostgresError> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    socket.write_all(&request).await.map_err(PostgresError::Broken)?;
    socket.flush().await.map_err(PostgresError::Broken)?;
    // Exactly one byte: anything after it must be inside TLS.
    let mut answer = [0];
    match socket.read_exact(&mut answer).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(PostgresError::Ended { waiting_for: "the answer to the request for TLS" });
        }
        Err(error) => return Err(PostgresError::Broken(error)),
    }
    match answer {
        [b'S'] => Ok(true),
        [b'N'] => Ok(false),
        [other] => Err(PostgresError::Protocol {
            expected: "yes or no to the request for TLS",
            got: format!("'{}'", other.escape_ascii()),
        }),
    }
}

/// Reads and writes whichever of two streams there is.
macro_rules! either_stream {
    ($name:ident, $first:ident, $second:ident) => {
        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::$first(stream) => Pin::new(stream).poll_read(context, buffer),
                    Self::$second(stream) => Pin::new(stream).poll_read(context, buffer),
                }
            }
        }

        impl AsyncWrite for $name {
            fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    Self::$first(stream) => Pin::new(stream).poll_write(context, bytes),
                    Self::$second(stream) => Pin::new(stream).poll_write(context, bytes),
                }
            }

            fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::$first(stream) => Pin::new(stream).poll_flush(context),
                    Self::$second(stream) => Pin::new(stream).poll_flush(context),
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::$first(stream) => Pin::new(stream).poll_shutdown(context),
                    Self::$second(stream) => Pin::new(stream).poll_shutdown(context),
                }
            }
        }
    };
}

either_stream!(Socket, Tcp, Unix);
either_stream!(Transport, Plain, Tls);
