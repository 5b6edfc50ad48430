//! Where and how to connect: one `postgres://` URL as typed, checked values.
//!
//! Owns: [`ConnectSettings`] and the parameters it knows. Never connects and never prints a password.

use std::{borrow::Cow, fmt, path::PathBuf, str::FromStr, time::Duration};

use naru_base::Secret;
use percent_encoding::percent_decode_str;
use thiserror::Error;
use url::Url;

/// The port when the URL has none.
const PORT_DEFAULT: u16 = 5432;
/// How long connecting may take when the URL does not say.
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Stands for a host that the URL leaves to its `host` parameter.
const NO_HOST: &str = "no-host.invalid";
/// Parameters that may stand after the `?`.
const PARAMETERS: &str = "host, port, user, password, dbname, sslmode, sslrootcert, sslcert, sslkey, channel_binding, \
                          application_name, connect_timeout";

/// How a connection uses TLS; the meaning is libpq's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server offers it; the certificate is not checked.
    #[default]
    Prefer,
    /// Always; the certificate is checked only when `sslrootcert` is given.
    Require,
    /// Always; the certificate must be signed by a known authority.
    VerifyCa,
    /// Always; signed by a known authority and made out to this host.
    VerifyFull,
}

impl SslMode {
    /// The word in the URL.
    pub fn word(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or address.
    Tcp(String),
    /// The folder of a Unix socket.
    Unix(PathBuf),
}

/// Everything needed to connect to one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectSettings {
    /// Where the server listens.
    pub host: Host,
    /// TCP port, or the number in the socket's name.
    pub port: u16,
    /// User.
    pub user: String,
    /// Password, if the URL has one.
    pub password: Option<Secret>,
    /// Database.
    pub database: String,
    /// Use of TLS.
    pub ssl_mode: SslMode,
    /// Authorities to trust instead of the system's.
    pub ssl_root_cert: Option<PathBuf>,
    /// Client certificate and its key, both or none.
    pub ssl_client: Option<(PathBuf, PathBuf)>,
    /// Whether signing in must be bound to the TLS connection (`channel_binding=require`).
    pub channel_binding_required: bool,
    /// The name shown in `pg_stat_activity`.
    pub application_name: String,
    /// How long connecting, TLS and signing in may take together.
    pub connect_timeout: Duration,
}

/// A URL that cannot be used. The URL itself is never quoted: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// Not a URL.
    #[error("the connection URL cannot be read: {0}")]
    NotAUrl(url::ParseError),
    /// Another scheme than `postgres` or `postgresql`.
    #[error("the connection URL begins with \"{0}:\" instead of \"postgres:\"")]
    Scheme(String),
    /// A part is missing.
    #[error("the connection URL names no {0}")]
    Missing(&'static str),
    /// Several hosts.
    #[error("the connection URL names several hosts; naru follows one server")]
    SeveralHosts,
    /// A part is not UTF-8 after decoding.
    #[error("{0} in the connection URL is not UTF-8 after percent-decoding")]
    NotUtf8(&'static str),
    /// A parameter's value is not one of those allowed.
    #[error("{name} in the connection URL must be {allowed}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What it may be.
        allowed: &'static str,
    },
    /// A parameter naru does not know.
    #[error("the connection URL has an unknown parameter \"{0}\"; known are {PARAMETERS}")]
    Unknown(String),
}

impl ConnectSettings {
    /// Reads a connection URL.
    ///
    /// # Errors
    /// Says which part is missing, unknown or wrong.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let url = Url::parse(&with_host(text)).map_err(SettingsError::NotAUrl)?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(SettingsError::Scheme(url.scheme().to_owned()));
        }
        let mut parts = Parts::from_authority(&url)?;
        for (name, value) in url.query_pairs() {
            parts.parameter(&name, &value)?;
        }
        parts.finish()
    }

    /// Host and port, or the socket's path, for messages.
    pub fn address(&self) -> String {
        match &self.host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]:{}", self.port),
            Host::Tcp(name) => format!("{name}:{}", self.port),
            Host::Unix(folder) => folder.join(format!(".s.PGSQL.{}", self.port)).display().to_string(),
        }
    }
}

impl FromStr for ConnectSettings {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for ConnectSettings {
    /// The server's name without any secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.user, self.address(), self.database)
    }
}

/// What has been read of a URL so far.
#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<Secret>,
    database: Option<String>,
    ssl_mode: SslMode,
    ssl_root_cert: Option<PathBuf>,
    ssl_cert: Option<PathBuf>,
    ssl_key: Option<PathBuf>,
    channel_binding_required: bool,
    application_name: Option<String>,
    connect_timeout: Option<Duration>,
}

impl Parts {
    /// Reads what stands before the `?`.
    fn from_authority(url: &Url) -> Result<Self, SettingsError> {
        let mut parts = Self { port: url.port(), ..Self::default() };
        if let Some(host) = url.host_str().filter(|host| !host.is_empty() && *host != NO_HOST) {
            parts.host = Some(decode(host.trim_start_matches('[').trim_end_matches(']'), "host")?);
        }
        if !url.username().is_empty() {
            parts.user = Some(decode(url.username(), "user")?);
        }
        if let Some(password) = url.password() {
            parts.password = Some(Secret::new(decode(password, "password")?));
        }
        let database = url.path().trim_start_matches('/');
        if !database.is_empty() {
            parts.database = Some(decode(database, "database")?);
        }
        Ok(parts)
    }

    /// Takes one parameter.
    fn parameter(&mut self, name: &str, value: &str) -> Result<(), SettingsError> {
        match name {
            "host" => self.host = Some(value.to_owned()),
            "port" => self.port = Some(number(value, "port")?),
            "user" => self.user = Some(value.to_owned()),
            "password" => self.password = Some(Secret::new(value)),
            "dbname" => self.database = Some(value.to_owned()),
            "sslmode" => self.ssl_mode = ssl_mode(value)?,
            "sslrootcert" => self.ssl_root_cert = (value != "system").then(|| PathBuf::from(value)),
            "sslcert" => self.ssl_cert = Some(PathBuf::from(value)),
            "sslkey" => self.ssl_key = Some(PathBuf::from(value)),
            "channel_binding" => self.channel_binding_required = channel_binding(value)?,
            "application_name" => self.application_name = Some(value.to_owned()),
            "connect_timeout" => {
                self.connect_timeout = Some(Duration::from_secs(number(value, "connect_timeout")?));
            }
            other => return Err(SettingsError::Unknown(other.to_owned())),
        }
        Ok(())
    }

    /// Checks that nothing is missing.
    fn finish(self) -> Result<ConnectSettings, SettingsError> {
        let host = self.host.ok_or(SettingsError::Missing("host"))?;
        if host.contains(',') {
            return Err(SettingsError::SeveralHosts);
        }
        let host = if host.starts_with('/') { Host::Unix(PathBuf::from(host)) } else { Host::Tcp(host) };
        let user = self.user.ok_or(SettingsError::Missing("user"))?;
        let ssl_client = match (self.ssl_cert, self.ssl_key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err(SettingsError::Missing("sslkey beside sslcert")),
            (None, Some(_)) => return Err(SettingsError::Missing("sslcert beside sslkey")),
        };
        Ok(ConnectSettings {
            host,
            port: self.port.unwrap_or(PORT_DEFAULT),
            database: self.database.unwrap_or_else(|| user.clone()),
            user,
            password: self.password,
            ssl_mode: self.ssl_mode,
            ssl_root_cert: self.ssl_root_cert,
            ssl_client,
            channel_binding_required: self.channel_binding_required,
            application_name: self.application_name.unwrap_or_else(|| "naru".to_owned()),
            connect_timeout: self.connect_timeout.unwrap_or(CONNECT_TIMEOUT_DEFAULT),
        })
    }
}

/// Puts a name after `user@` where libpq allows none (`postgres://user@/db?host=/run`) and the URL standard does not.
fn with_host(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://") else { return Cow::Borrowed(text) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.split_at_checked(end) {
        Some((authority, tail)) if authority.ends_with('@') => {
            Cow::Owned(format!("{scheme}://{authority}{NO_HOST}{tail}"))
        }
        _ => Cow::Borrowed(text),
    }
}

fn decode(text: &str, part: &'static str) -> Result<String, SettingsError> {
    percent_decode_str(text).decode_utf8().map(Cow::into_owned).map_err(|_| SettingsError::NotUtf8(part))
}

fn number<T: FromStr>(value: &str, name: &'static str) -> Result<T, SettingsError> {
    value.parse().map_err(|_| SettingsError::Value { name, allowed: "a whole number" })
}

fn ssl_mode(value: &str) -> Result<SslMode, SettingsError> {
    match value {
        "disable" => Ok(SslMode::Disable),
        // `allow` is libpq's wish for no TLS first; the two differ only in which is tried first.
        "allow" | "prefer" => Ok(SslMode::Prefer),
        "require" => Ok(SslMode::Require),
        "verify-ca" => Ok(SslMode::VerifyCa),
        "verify-full" => Ok(SslMode::VerifyFull),
        _ => {
            Err(SettingsError::Value { name: "sslmode", allowed: "disable, prefer, require, verify-ca or verify-full" })
        }
    }
}

fn channel_binding(value: &str) -> Result<bool, SettingsError> {
    match value {
        "disable" | "prefer" => Ok(false),
        "require" => Ok(true),
        _ => Err(SettingsError::Value { name: "channel_binding", allowed: "disable, prefer or require" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_url_is_read_and_its_parts_are_decoded() {
        let settings = ConnectSettings::parse(
            "postgres://shop%40eu:p%40ss%2F%23%25@db.example:6543/my%20db?sslmode=verify-full&sslrootcert=/etc/ca.pem\
             &application_name=naru%20test&connect_timeout=3&channel_binding=require",
        )
        .unwrap();
        assert_eq!(settings.host, Host::Tcp("db.example".into()));
        assert_eq!(settings.port, 6543);
        assert_eq!(settings.user, "shop@eu");
        assert_eq!(settings.password.as_ref().unwrap().expose(), "p@ss/#%");
        assert_eq!(settings.database, "my db");
        assert_eq!(settings.ssl_mode, SslMode::VerifyFull);
        assert_eq!(settings.ssl_root_cert, Some(PathBuf::from("/etc/ca.pem")));
        assert_eq!(settings.application_name, "naru test");
        assert_eq!(settings.connect_timeout, Duration::from_secs(3));
        assert!(settings.channel_binding_required);
    }

    #[test]
    fn a_password_never_shows() {
        let settings = ConnectSettings::parse("postgres://u:hidden@h/d").unwrap();
        assert!(!format!("{settings:?} {settings}").contains("hidden"));
        for wrong in ["postgres://u:hidden@h/d?x=1", "mysql://u:hidden@h/d", "postgres://u:hidden@h:99999/d"] {
            let error = ConnectSettings::parse(wrong).unwrap_err();
            assert!(!format!("{error:?} {error}").contains("hidden"), "{error}");
        }
    }

    #[test]
    fn a_unix_socket_is_named_by_host() {
        for url in
            ["postgres://u@/d?host=/run/pg", "postgres://u@%2Frun%2Fpg/d", "postgres://u@localhost/d?host=/run/pg"]
        {
            let settings = ConnectSettings::parse(url).unwrap();
            assert_eq!(settings.host, Host::Unix(PathBuf::from("/run/pg")), "{url}");
            assert_eq!(settings.address(), "/run/pg/.s.PGSQL.5432");
        }
    }

    #[test]
    fn the_database_defaults_to_the_user_and_ipv6_is_read() {
        let settings = ConnectSettings::parse("postgresql://me@[::1]").unwrap();
        assert_eq!((settings.database.as_str(), settings.address().as_str()), ("me", "[::1]:5432"));
        assert_eq!(settings.ssl_mode, SslMode::Prefer);
    }

    #[test]
    fn each_mistake_is_named() {
        for (url, part) in [
            ("not a url", "cannot be read"),
            ("mysql://u@h/d", "\"mysql:\""),
            ("postgres://h/d", "no user"),
            ("postgres:///d?user=u", "no host"),
            ("postgres://u@/d", "no host"),
            ("postgres://u@h1,h2/d", "several hosts"),
            ("postgres://u@h/d?sslmode=on", "sslmode"),
            ("postgres://u@h/d?sslcert=a", "sslkey"),
            ("postgres://u@h/d?port=x", "port"),
            ("postgres://u@h/d?statement_timeout=3", "unknown parameter"),
        ] {
            let error = ConnectSettings::parse(url).unwrap_err().to_string();
            assert!(error.contains(part), "{url}: {error}");
        }
    }
}
