//! Free loopback ports.
//!
//! Owns: asking the kernel. Never reserves: between the answer and its use another process may take the port, so
//! whoever can bind port 0 itself should do that.

use std::net::{Ipv4Addr, TcpListener};

/// A loopback TCP port that was free a moment ago.
pub fn free() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind a loopback port");
    listener.local_addr().expect("address of the bound port").port()
}
