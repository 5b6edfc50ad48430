//! A TCP proxy on loopback that can break what runs through it.
//!
//! Owns: forwarding bytes, and refusing, cutting, stalling or delaying them on demand. Never reads them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// Bytes forwarded at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// What the proxy does to the connections through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    /// Forwards, each piece later by this much.
    Fair(Duration),
    /// Takes no byte from either side; connections stay open.
    Stalled,
    /// Closes every connection, the new ones at once.
    Cut,
}

/// A proxy in front of one address. Dropping it closes everything.
#[derive(Debug)]
pub struct TcpProxy {
    port: u16,
    target: Arc<AtomicU16>,
    weather: watch::Sender<Weather>,
    accepting: JoinHandle<()>,
}

impl TcpProxy {
    /// Listens on a free loopback port in front of `127.0.0.1:target`.
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bind a loopback port");
        let port = listener.local_addr().expect("address of the proxy").port();
        let (weather, seen) = watch::channel(Weather::Fair(Duration::ZERO));
        let target = Arc::new(AtomicU16::new(target));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&target), seen));
        Self { port, target, weather, accepting }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes all connections and every new one until [`Self::mend`].
    pub fn cut(&self) {
        self.weather.send_replace(Weather::Cut);
    }

    /// Closes all connections now; new ones work.
    pub async fn cut_once(&self) {
        self.cut();
        // Every connection sees the cut before it is mended: a watch shows only the latest value.
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.mend();
    }

    /// Stops the flow without closing anything, as a lost route would.
    pub fn stall(&self) {
        self.weather.send_replace(Weather::Stalled);
    }

    /// Sends new connections to another port; open ones stay where they are.
    pub fn retarget(&self, target: u16) {
        self.target.store(target, Ordering::Relaxed);
    }

    /// Delays each piece.
    pub fn delay(&self, by: Duration) {
        self.weather.send_replace(Weather::Fair(by));
    }

    /// Forwards again, without delay.
    pub fn mend(&self) {
        self.delay(Duration::ZERO);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: Arc<AtomicU16>, weather: watch::Receiver<Weather>) {
    while let Ok((from, _)) = listener.accept().await {
        if *weather.borrow() == Weather::Cut {
            continue;
        }
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, target.load(Ordering::Relaxed)));
        tokio::spawn(carry(from, target, weather.clone()));
    }
}

async fn carry(from: TcpStream, target: SocketAddr, weather: watch::Receiver<Weather>) {
    let Ok(to) = TcpStream::connect(target).await else { return };
    let _asked = (from.set_nodelay(true), to.set_nodelay(true));
    let (from_read, from_write) = from.into_split();
    let (to_read, to_write) = to.into_split();
    // When one direction ends, both do: PostgreSQL's protocol has no half-open connections.
    tokio::select! {
        () = pump(from_read, to_write, weather.clone()) => {}
        () = pump(to_read, from_write, weather) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: watch::Receiver<Weather>) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let now = *weather.borrow_and_update();
        let delay = match now {
            Weather::Cut => return,
            Weather::Stalled => {
                if weather.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Weather::Fair(delay) => delay,
        };
        let read = tokio::select! {
            read = from.read(&mut piece) => read,
            changed = weather.changed() => match changed { Ok(()) => continue, Err(_) => return },
        };
        let Some(bytes) = read.ok().filter(|&count| count > 0).and_then(|count| piece.get(..count)) else { return };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
