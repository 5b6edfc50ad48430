//! Everything a door can fail with.
//!
//! Owns: [`ServerError`] and its one translation to [`Problem`]. Errors of queries are the warehouse's.

use std::{net::SocketAddr, path::PathBuf};

use naru_base::Problem;

/// A door that cannot open, or a running naru that cannot be reached through it.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("{door} cannot listen on {address}")]
    Bind {
        /// Which door.
        door: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The address is reachable from other machines.
    #[error("{door} would be open to other machines at {address}")]
    NotLoopback {
        /// Which door.
        door: &'static str,
        /// Where.
        address: SocketAddr,
    },
    /// The certificate or its key cannot be used.
    #[error("the certificate {} cannot be used", path.display())]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A setting that is no address.
    #[error("\"{0}\" is not a listener address")]
    Address(String),
    /// The folder or file of the control socket cannot be used.
    #[error("the control socket {path} cannot be used")]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The folder of the control socket belongs to someone else or is open to others.
    #[error("the folder {0} is not private to this user")]
    SocketFolder(PathBuf),
    /// Another naru of this project answers on the socket.
    #[error("naru is already running for this project")]
    AlreadyRunning,
    /// The running naru has another version.
    #[error("naru {running} is running for this project, this is naru {this}")]
    Version {
        /// The running one's.
        running: String,
        /// This one's.
        this: String,
    },
    /// The running naru went away or said what this one cannot read.
    #[error("the running naru stopped answering")]
    Lost(String),
    /// The running naru answered with a problem.
    #[error("{0}")]
    Remote(Problem),
}

impl ServerError {
    /// The error as people see it.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Bind { source, .. } => Problem::from_error("server.bind", self.to_string(), source)
                .hint("Stop what listens there, or set another address (port 0 takes a free one) under [server] in naru.toml."),
            Self::NotLoopback { .. } => Problem::new("server.not_loopback", self.to_string())
                .detail("Addresses beyond this machine need sign-in and TLS, which this door does not have.")
                .hint("Use 127.0.0.1 under [server] in naru.toml, and an SSH tunnel from elsewhere."),
            Self::Certificate { reason, .. } => Problem::new("server.certificate", self.to_string())
                .detail(reason)
                .hint("Both files of `tls` under [server] in naru.toml are PEM, and readable by the user that runs naru."),
            Self::Address(_) => Problem::new("server.address", self.to_string())
                .hint("Write an address such as \"127.0.0.1:6278\", port 0 for any free one, or false to switch it off."),
            Self::Socket { source, .. } => Problem::from_error("server.socket", self.to_string(), source),
            Self::SocketFolder(path) => Problem::new("server.socket_folder", self.to_string())
                .detail("Whoever can reach the socket can run SQL as this user.")
                .hint(format!("Remove {}, or set XDG_RUNTIME_DIR to a private folder.", path.display())),
            Self::AlreadyRunning => Problem::new("server.already_running", self.to_string())
                .hint("`naru status` shows it; Ctrl-C in its terminal stops it."),
            Self::Version { running, this } => Problem::new("server.version", self.to_string())
                .hint(if running < this {
                    format!("Restart `naru up`, so that it runs {this}.")
                } else {
                    format!("Use the newer program ({running}) here.")
                }),
            Self::Lost(detail) => Problem::new("server.lost", self.to_string())
                .detail(format!("It ended, or the way to it broke ({detail}). What was asked may have been done."))
                .hint("`naru status` says whether it runs; `naru up` starts it.")
                .later(),
            Self::Remote(problem) => problem.clone(),
        }
    }
}
