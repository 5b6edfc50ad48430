//! Opening a session: the startup message and signing in.
//!
//! Owns: the session settings that make every value's text have one reading, and the sign-in methods trust, cleartext,
//! md5, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS. Never keeps a password.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256},
    },
    message::frontend,
};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};

use super::{
    error::{PostgresError, ServerError},
    frames::{Frame, FrameReader},
    settings::ConnectSettings,
    transport::Transport,
};

/// Settings of every session naru opens. The text forms they choose have exactly one reading, and a role's own timeouts
/// do not end a long copy.
pub(crate) const SESSION_PARAMETERS: [(&str, &str); 8] = [
    ("DateStyle", "ISO"),
    ("IntervalStyle", "iso_8601"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
];

/// An open session: a reader of frames, a writer, and what the server said of itself.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) frames: FrameReader<ReadHalf<Transport>>,
    pub(crate) writer: WriteHalf<Transport>,
    /// `server_version`, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub(crate) server_version: String,
}

impl Session {
    /// Connects, signs in and waits until the server is ready, within the settings' time.
    pub(crate) async fn open(settings: &ConnectSettings, replication: bool) -> Result<Self, PostgresError> {
        let opening = async {
            let transport = Transport::open(settings).await?;
            let binding = if transport.is_tls() { Binding::Tls(transport.channel_binding()) } else { Binding::NoTls };
            let (reader, writer) = tokio::io::split(transport);
            let mut session = Self { frames: FrameReader::new(reader), writer, server_version: String::new() };
            session.start(settings, replication).await?;
            session.sign_in(settings, binding).await?;
            session.wait_until_ready().await?;
            Ok(session)
        };
        let seconds = settings.connect_timeout.as_secs();
        tokio::time::timeout(settings.connect_timeout, opening).await.unwrap_or_else(|_| {
            Err(PostgresError::TimedOut { address: settings.address(), during: "connecting", seconds })
        })
    }

    /// Writes whole messages.
    pub(crate) async fn send(&mut self, messages: &[u8]) -> Result<(), PostgresError> {
        self.writer.write_all(messages).await.map_err(PostgresError::Broken)?;
        self.writer.flush().await.map_err(PostgresError::Broken)
    }

    async fn start(&mut self, settings: &ConnectSettings, replication: bool) -> Result<(), PostgresError> {
        let mut parameters = vec![
            ("user", settings.user.as_str()),
            ("database", settings.database.as_str()),
            ("application_name", settings.application_name.as_str()),
            ("client_encoding", "UTF8"),
        ];
        parameters.extend(SESSION_PARAMETERS);
        if replication {
            parameters.push(("replication", "database"));
        }
        let mut message = BytesMut::new();
        frontend::startup_message(parameters, &mut message).map_err(PostgresError::Broken)?;
        self.send(&message).await
    }

    async fn sign_in(&mut self, settings: &ConnectSettings, binding: Binding) -> Result<(), PostgresError> {
        let mut bound = false;
        loop {
            let refused = |reason: &'static str| refused(settings, reason);
            let request = AuthRequest::read(&self.frames.next("the sign-in").await?)?;
            if settings.channel_binding_required && !bound && !matches!(request, AuthRequest::Sasl(_)) {
                return Err(refused("channel_binding=require, and the server does not offer SCRAM over TLS"));
            }
            match request {
                AuthRequest::Ok => return Ok(()),
                AuthRequest::Cleartext => self.send_password(password(settings)?.as_bytes()).await?,
                AuthRequest::Md5(salt) => {
                    let hash = md5_hash(settings.user.as_bytes(), password(settings)?.as_bytes(), salt);
                    self.send_password(hash.as_bytes()).await?;
                }
                AuthRequest::Sasl(mechanisms) => bound = self.scram(settings, &binding, &mechanisms).await?,
                AuthRequest::SaslContinue(_) | AuthRequest::SaslFinal(_) => {
                    return Err(refused("the server sent SCRAM messages out of order"));
                }
                AuthRequest::Other => {
                    return Err(refused(
                        "the server asks for a method naru does not know (GSSAPI, SSPI, …); allow scram-sha-256 in \
                         pg_hba.conf",
                    ));
                }
            }
        }
    }

    async fn send_password(&mut self, password: &[u8]) -> Result<(), PostgresError> {
        let mut message = BytesMut::new();
        frontend::password_message(password, &mut message).map_err(PostgresError::Broken)?;
        self.send(&message).await
    }

    /// Runs SCRAM; true when the sign-in was bound to the TLS connection.
    async fn scram(
        &mut self,
        settings: &ConnectSettings,
        binding: &Binding,
        mechanisms: &[u8],
    ) -> Result<bool, PostgresError> {
        let broken = |error: std::io::Error| refused(settings, Cow::Owned(format!("SCRAM failed: {error}")));
        let (mechanism, channel_binding) = choose_mechanism(settings, binding, mechanisms)?;
        let bound = mechanism == SCRAM_SHA_256_PLUS;
        let mut scram = ScramSha256::new(password(settings)?.as_bytes(), channel_binding);
        let mut message = BytesMut::new();
        frontend::sasl_initial_response(mechanism, scram.message(), &mut message).map_err(PostgresError::Broken)?;
        self.send(&message).await?;
        match AuthRequest::read(&self.frames.next("the sign-in").await?)? {
            AuthRequest::SaslContinue(data) => scram.update(&data).map_err(broken)?,
            _ => return Err(refused(settings, "the server broke off SCRAM")),
        }
        message.clear();
        frontend::sasl_response(scram.message(), &mut message).map_err(PostgresError::Broken)?;
        self.send(&message).await?;
        match AuthRequest::read(&self.frames.next("the sign-in").await?)? {
            AuthRequest::SaslFinal(data) => scram.finish(&data).map_err(broken)?,
            _ => return Err(refused(settings, "the server did not prove that it knows the password")),
        }
        Ok(bound)
    }

    async fn wait_until_ready(&mut self) -> Result<(), PostgresError> {
        loop {
            let frame = self.frames.next("the server to be ready").await?;
            match frame.tag {
                b'Z' => return Ok(()),
                b'S' => self.note_parameter(&frame.body),
                b'K' | b'N' | b'v' => {}
                b'E' => return Err(server_error(&frame.body)),
                _ => return Err(frame.unexpected("the server to be ready")),
            }
        }
    }

    fn note_parameter(&mut self, body: &[u8]) {
        let mut parts = body.split(|&byte| byte == 0);
        if let (Some(b"server_version"), Some(value)) = (parts.next(), parts.next()) {
            self.server_version = String::from_utf8_lossy(value).into_owned();
        }
    }
}

/// What a sign-in can be bound to.
enum Binding {
    NoTls,
    /// The hash of the server's certificate, where its algorithm names one.
    Tls(Option<Vec<u8>>),
}

/// The server's side of signing in.
enum AuthRequest {
    Ok,
    Cleartext,
    Md5([u8; 4]),
    /// The offered mechanisms, each ended by a zero byte.
    Sasl(Bytes),
    SaslContinue(Bytes),
    SaslFinal(Bytes),
    Other,
}

impl AuthRequest {
    fn read(frame: &Frame) -> Result<Self, PostgresError> {
        match frame.tag {
            b'E' => return Err(server_error(&frame.body)),
            b'R' => {}
            _ => return Err(frame.unexpected("a request to sign in")),
        }
        let Some((code, rest)) = frame.body.split_first_chunk::<4>() else {
            return Err(frame.unexpected("a request to sign in"));
        };
        let data = || frame.body.slice(4..);
        Ok(match (u32::from_be_bytes(*code), rest) {
            (0, _) => Self::Ok,
            (3, _) => Self::Cleartext,
            (5, &[a, b, c, d]) => Self::Md5([a, b, c, d]),
            (10, _) => Self::Sasl(data()),
            (11, _) => Self::SaslContinue(data()),
            (12, _) => Self::SaslFinal(data()),
            _ => Self::Other,
        })
    }
}

/// The error in an ErrorResponse's body.
pub(crate) fn server_error(body: &[u8]) -> PostgresError {
    PostgresError::Server(Box::new(ServerError::from_fields(body)))
}

fn refused(settings: &ConnectSettings, reason: impl Into<Cow<'static, str>>) -> PostgresError {
    PostgresError::SignIn { address: settings.address(), reason: reason.into() }
}

fn password(settings: &ConnectSettings) -> Result<&str, PostgresError> {
    match &settings.password {
        Some(password) => Ok(password.expose()),
        None => Err(refused(settings, "the server asks for a password, and the URL has none")),
    }
}

/// Prefers the mechanism that is bound to TLS.
fn choose_mechanism(
    settings: &ConnectSettings,
    binding: &Binding,
    offered: &[u8],
) -> Result<(&'static str, ChannelBinding), PostgresError> {
    let offers = |name: &str| offered.split(|&byte| byte == 0).any(|mechanism| mechanism == name.as_bytes());
    if let (Binding::Tls(Some(hash)), true) = (binding, offers(SCRAM_SHA_256_PLUS)) {
        return Ok((SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(hash.clone())));
    }
    if settings.channel_binding_required {
        return Err(refused(settings, "channel_binding=require, and the sign-in cannot be bound to TLS"));
    }
    if !offers(SCRAM_SHA_256) {
        return Err(refused(settings, "the server offers no SCRAM mechanism naru knows"));
    }
    // `unrequested` tells a server that does offer binding that someone in between removed the offer.
    let binding = match binding {
        Binding::Tls(Some(_)) => ChannelBinding::unrequested(),
        Binding::Tls(None) | Binding::NoTls => ChannelBinding::unsupported(),
    };
    Ok((SCRAM_SHA_256, binding))
}
