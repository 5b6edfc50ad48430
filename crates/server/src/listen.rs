//! Addresses and open doors.
//!
//! Owns: [`Listen`], [`Door`], and the rule that doors open to this machine only unless they are secured.

use std::{fmt, net::SocketAddr, str::FromStr};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::ServerError;

/// Where a door listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// Here; port 0 takes any free port.
    At(SocketAddr),
}

impl FromStr for Listen {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        match text.trim() {
            "off" | "false" => Ok(Self::Off),
            address => {
                let named = address.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
                let parsed = named.as_deref().unwrap_or(address).parse();
                parsed.map(Self::At).map_err(|_| ServerError::Address(text.to_owned()))
            }
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl Listen {
    /// Binds; `None` when the door is off. A `secured` door has sign-in and TLS.
    ///
    /// # Errors
    /// [`ServerError::NotLoopback`] for an address that other machines can reach, unless the door is secured.
    pub(crate) async fn bind(self, door: &'static str, secured: bool) -> Result<Option<TcpListener>, ServerError> {
        let Self::At(address) = self else { return Ok(None) };
        if !secured && !address.ip().is_loopback() {
            return Err(ServerError::NotLoopback { door, address });
        }
        let bound = TcpListener::bind(address).await;
        bound.map(Some).map_err(|source| ServerError::Bind { door, address, source })
    }
}

/// An open listener. Dropping it closes the door and ends its connections.
#[derive(Debug)]
pub struct Door {
    /// Where it listens; the port is never 0.
    pub address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Door {
    /// Takes no more connections, ends the open ones, and waits for them.
    pub async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_a_port_zero_and_off_are_read() {
        assert_eq!("off".parse::<Listen>().unwrap(), Listen::Off);
        assert_eq!("false".parse::<Listen>().unwrap(), Listen::Off);
        assert_eq!("localhost:0".parse::<Listen>().unwrap(), Listen::At(([127, 0, 0, 1], 0).into()));
        assert!("6278".parse::<Listen>().is_err());
    }

    #[tokio::test]
    async fn a_door_never_opens_to_other_machines_unsecured() {
        let wide: Listen = "0.0.0.0:0".parse().unwrap();
        assert!(matches!(wide.bind("http", false).await, Err(ServerError::NotLoopback { .. })));
        assert!(wide.bind("http", true).await.unwrap().is_some());
    }
}
