//! Connections of the doors that speak HTTP: how many there may be, and how long each may say nothing.
//!
//! Owns: [`Doorway`], accepting, TLS or none, limits in all and of one address, waits, and the end of a connection.
//! Never looks into a request; what the doors answer is theirs.
//! Read next: [`crate::tls`] for certificates, `timely` for bodies that do not end.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, response::Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Door, Listen, ServerError,
    http::Peer,
    timely::{Answering, Timely},
    tls::Tls,
};

/// Connections of one door, whatever the system allows: each may hold some hundred KiB.
const MOST: u64 = 8192;
/// Connections of one door where the system allows few files.
const FEWEST: u64 = 64;
/// What is assumed where the system does not say how many files may be open.
const FILES_UNKNOWN: u64 = 1024;
/// How long requests that are being answered may take to end when the door closes.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client may take for its handshake.
const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Pause after the system gave no connection, most often for want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A connection whose peer takes nothing of what was sent to it for so long is cut by the system.
const UNTAKEN_MAX: Duration = Duration::from_mins(2);
/// A connection that says nothing is asked whether it is alive.
const ALIVE_EVERY: Duration = Duration::from_mins(1);
/// Bytes of one request's head, and of what is read ahead of its body.
const READ_BYTES_MAX: usize = 128 << 10;
/// The first byte of a TLS handshake; no request in plain text begins so.
const TLS_HANDSHAKE: u8 = 0x16;

/// How many connections a door holds, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections at once.
    pub most: usize,
    /// Connections of one address (of one /64 network of IPv6) that is not this machine.
    pub most_of_one: usize,
    /// How long a connection may take to its first whole request.
    pub first_wait: Duration,
    /// How long it may say nothing between two requests, and take for the head of one.
    pub idle: Duration,
    /// How long a request's body may take to come; `None` where requests are streams without an end.
    pub body_wait: Option<Duration>,
}

impl Default for ConnectionLimits {
    /// As many as the files that this process may open leave room for: a quarter of them for each door.
    fn default() -> Self {
        let most = (raise_file_limit() / 4).clamp(FEWEST, MOST);
        Self {
            most: naru_base::number::usize_from(most),
            most_of_one: naru_base::number::usize_from(most / 4),
            first_wait: Duration::from_secs(20),
            // Load balancers keep their own end open for 60 s, and must not be the later ones.
            idle: Duration::from_secs(90),
            body_wait: Some(Duration::from_mins(2)),
        }
    }
}

/// Lets this process open as many files as the system allows at all; answers how many.
pub fn raise_file_limit() -> u64 {
    let now = getrlimit(Resource::Nofile);
    if now.current != now.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum })
    {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(FILES_UNKNOWN.max(MOST * 4))
}

/// Where and how a door listens.
#[derive(Debug, Clone)]
pub struct Doorway {
    /// Where.
    pub listen: Listen,
    /// Its certificate, without which it opens to this machine only.
    pub tls: Option<Tls>,
    /// Proxies that end TLS before it: without a certificate, they alone may come from other machines.
    pub proxies: Vec<IpAddr>,
    /// How many connections, and for how long.
    pub limits: ConnectionLimits,
}

impl From<Listen> for Doorway {
    fn from(listen: Listen) -> Self {
        Self { listen, tls: None, proxies: Vec::new(), limits: ConnectionLimits::default() }
    }
}

impl Doorway {
    /// With a certificate.
    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// Behind these proxies.
    #[must_use]
    pub fn behind(self, proxies: Vec<IpAddr>) -> Self {
        Self { proxies, ..self }
    }

    /// Binds; `None` when the door is off. `protocols` are what it speaks over TLS, the preferred one first.
    pub(crate) async fn bind(self, door: &'static str, protocols: &[&[u8]]) -> Result<Option<Entrance>, ServerError> {
        let acceptor = self.tls.map(|tls| tls.acceptor(protocols)).transpose()?;
        let Some(listener) = self.listen.bind(door, acceptor.is_some() || !self.proxies.is_empty()).await? else {
            return Ok(None);
        };
        let address = listener
            .local_addr()
            .map_err(|error| ServerError::Lost(format!("the listener has no address: {error}")))?;
        Ok(Some(Entrance {
            listener,
            address,
            acceptor,
            plain_too: false,
            proxies: self.proxies,
            limits: self.limits,
            refused: Counter::default(),
        }))
    }
}

/// A bound listener.
pub(crate) struct Entrance {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    /// Whether connections without TLS are taken beside those with it.
    pub(crate) plain_too: bool,
    proxies: Vec<IpAddr>,
    limits: ConnectionLimits,
    /// Connections that were closed at once: there were too many, or they came past the proxies.
    pub(crate) refused: Counter,
}

/// What all connections of one door share.
struct Shared {
    router: Router,
    acceptor: Option<TlsAcceptor>,
    plain_too: bool,
    limits: ConnectionLimits,
    builder: Builder<TokioExecutor>,
    stop: CancellationToken,
}

impl Entrance {
    /// Whether it speaks TLS.
    pub(crate) fn has_tls(&self) -> bool {
        self.acceptor.is_some()
    }

    /// Answers everybody who comes in. `builder` says what HTTP is spoken.
    pub(crate) fn serve(self, router: Router, builder: Builder<TokioExecutor>) -> Door {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (ended, connections) = (stop.clone(), tasks.clone());
        let Self { listener, address, acceptor, plain_too, proxies, limits, refused } = self;
        let places = Arc::new(Places {
            limits,
            open: acceptor.is_some() || proxies.is_empty(),
            proxies,
            taken: Mutex::default(),
        });
        let shared = Arc::new(Shared { router, acceptor, plain_too, limits, builder, stop: stop.clone() });
        tasks.spawn(async move {
            while let Some(accepted) = ended.run_until_cancelled(listener.accept()).await {
                match accepted {
                    Ok((stream, peer)) => {
                        if let Some(place) = Places::take(&places, peer.ip()) {
                            connections.spawn(connection(stream, peer, Arc::clone(&shared), place));
                        } else {
                            refused.inc();
                            tracing::debug!(%peer, "a connection was refused");
                        }
                    }
                    Err(error) => {
                        // Too many open files, as a rule: others may end meanwhile.
                        tracing::warn!(%error, "no connection could be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        });
        Door { address, stop, tasks }
    }
}

/// HTTP/1 and HTTP/2 as every door speaks them.
pub(crate) fn builder(limits: &ConnectionLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // The wait for a head begins with the connection, and again after each answer.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.idle).max_buf_size(READ_BYTES_MAX);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(ALIVE_EVERY));
    builder
}

async fn connection(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>, _place: Place) {
    prepare(&stream);
    let Some(acceptor) = &shared.acceptor else { return converse(stream, peer, &shared).await };
    if shared.plain_too {
        let mut first = [0];
        match timeout(shared.limits.first_wait, stream.peek(&mut first)).await {
            Ok(Ok(1)) if first != [TLS_HANDSHAKE] => return converse(stream, peer, &shared).await,
            Ok(Ok(1)) => {}
            Ok(Ok(_) | Err(_)) | Err(_) => return,
        }
    }
    match timeout(HANDSHAKE_WAIT_MAX, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => converse(stream, peer, &shared).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

/// Nothing of it is needed for the connection to work.
fn prepare(stream: &TcpStream) {
    let untaken = u32::try_from(UNTAKEN_MAX.as_millis()).unwrap_or(u32::MAX);
    let set = stream.set_nodelay(true).and_then(|()| {
        rustix::net::sockopt::set_socket_keepalive(stream, true)?;
        rustix::net::sockopt::set_tcp_user_timeout(stream, untaken)?;
        Ok(())
    });
    if let Err(error) = set {
        tracing::debug!(%error, "a connection stays as the system makes it");
    }
}

/// Answers requests until the client, its silence or the door ends it.
async fn converse<I>(stream: I, peer: SocketAddr, shared: &Shared)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let life = Life::begin();
    let (requests, router, body_wait) = (life.clone(), shared.router.clone(), shared.limits.body_wait);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let open = requests.request();
        let mut request = request.map(|body| Body::new(Timely::new(body, body_wait)));
        request.extensions_mut().insert(ConnectInfo(Peer(peer)));
        let answer = tonic::codegen::Service::call(&mut router.clone(), request);
        async move {
            let answer: Result<Response, _> = answer.await;
            answer.map(|response| response.map(|body| Answering::new(body, open)))
        }
    });
    let serving = shared.builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        result = serving.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(error, "a connection broke");
            }
            return;
        }
        () = shared.stop.cancelled() => serving.as_mut().graceful_shutdown(),
        () = life.silent(&shared.limits) => serving.as_mut().graceful_shutdown(),
    }
    if timeout(PATIENCE, serving).await.is_err() {
        tracing::debug!("a connection was cut");
    }
}

/// What a connection is doing. Clones are the same connection's.
#[derive(Debug, Clone)]
struct Life(Arc<watch::Sender<Doing>>);

#[derive(Debug, Clone, Copy)]
struct Doing {
    /// Requests that are not wholly answered.
    open: usize,
    /// Whether there was any request.
    heard: bool,
    /// Since when it does the same.
    since: Instant,
}

/// A request that is not wholly answered.
#[derive(Debug)]
pub(crate) struct OpenRequest(Life);

impl Life {
    fn begin() -> Self {
        Self(Arc::new(watch::Sender::new(Doing { open: 0, heard: false, since: Instant::now() })))
    }

    fn request(&self) -> OpenRequest {
        self.0.send_modify(|doing| {
            doing.open += 1;
            doing.heard = true;
        });
        OpenRequest(self.clone())
    }

    /// Comes back once there was no request for too long.
    async fn silent(&self, limits: &ConnectionLimits) {
        let mut changes = self.0.subscribe();
        loop {
            let doing = *changes.borrow_and_update();
            let until = doing.since + if doing.heard { limits.idle } else { limits.first_wait };
            tokio::select! {
                () = sleep_until(until), if doing.open == 0 => return,
                // It changes as long as `self` is there.
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.0.send_modify(|doing| {
            doing.open = doing.open.saturating_sub(1);
            doing.since = Instant::now();
        });
    }
}

/// Places of one door.
#[derive(Debug)]
struct Places {
    limits: ConnectionLimits,
    /// Whether others than the proxies may come from other machines.
    open: bool,
    proxies: Vec<IpAddr>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

/// The place of one connection, given back when dropped.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    network: IpAddr,
}

impl Places {
    fn take(places: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let (network, limits) = (network(peer), places.limits);
        let mut taken = places.taken.lock();
        let of_it = taken.of.get(&network).copied().unwrap_or_default();
        // A part stays free for this machine: whoever looks after naru must get in.
        let is_proxy = places.proxies.contains(&peer.to_canonical());
        let full = if network.is_loopback() {
            taken.all >= limits.most
        } else if is_proxy {
            // Many people come from there.
            taken.all >= limits.most - limits.most / 8
        } else if !places.open {
            true
        } else {
            taken.all >= limits.most - limits.most / 8 || of_it >= limits.most_of_one
        };
        if full {
            return None;
        }
        taken.all += 1;
        taken.of.insert(network, of_it + 1);
        drop(taken);
        Some(Place { places: Arc::clone(places), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        let left = taken.of.get(&self.network).map_or(0, |of_it| of_it.saturating_sub(1));
        if left == 0 {
            taken.of.remove(&self.network);
        } else {
            taken.of.insert(self.network, left);
        }
    }
}

/// An address as one party has it: a whole one of IPv4, the first half of one of IPv6.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(most: usize, most_of_one: usize) -> Arc<Places> {
        behind(most, most_of_one, true, Vec::new())
    }

    fn behind(most: usize, most_of_one: usize, open: bool, proxies: Vec<IpAddr>) -> Arc<Places> {
        let limits = ConnectionLimits { most, most_of_one, ..ConnectionLimits::default() };
        Arc::new(Places { limits, open, proxies, taken: Mutex::default() })
    }

    #[test]
    fn one_address_never_takes_all_places_and_this_machine_always_gets_in() {
        let places = places(16, 4);
        let take = |peer: &str| Places::take(&places, peer.parse().unwrap());
        let mut held: Vec<_> = (0..4).map(|_| take("192.0.2.1").unwrap()).collect();
        assert!(take("192.0.2.1").is_none() && take("::ffff:192.0.2.1").is_none());
        held.extend((0..4).map(|n| take(&format!("2001:db8::{n}")).unwrap()));
        assert!(take("2001:db8::ffff").is_none(), "one network of IPv6 is one party");
        held.extend((0..4).map(|_| take("2001:db8:0:1::1").unwrap()));
        held.extend((0..2).map(|_| take("192.0.2.2").unwrap()));
        assert!(take("192.0.2.3").is_none(), "the last places are this machine's");
        held.extend([take("127.0.0.1").unwrap(), take("::1").unwrap()]);
        assert!(take("127.0.0.1").is_none());
        held.clear();
        assert!(take("192.0.2.1").is_some() && places.taken.lock().of.is_empty(), "places come back");
    }

    #[test]
    fn behind_a_proxy_nobody_else_comes_from_other_machines_and_all_of_its_people_get_in() {
        let proxy: IpAddr = "192.0.2.9".parse().unwrap();
        let places = behind(16, 2, false, vec![proxy]);
        assert!(Places::take(&places, "192.0.2.1".parse().unwrap()).is_none());
        let held: Vec<_> = (0..14).map(|_| Places::take(&places, proxy).unwrap()).collect();
        assert!(Places::take(&places, proxy).is_none());
        assert!(Places::take(&places, "127.0.0.1".parse().unwrap()).is_some());
        drop(held);
        let with_tls = behind(16, 2, true, vec![proxy]);
        assert!(Places::take(&with_tls, "192.0.2.1".parse().unwrap()).is_some());
    }

    #[test]
    fn as_many_files_may_be_open_as_the_system_allows() {
        let files = raise_file_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert!(limit.current.is_none_or(|current| current == files));
        let limits = ConnectionLimits::default();
        assert!(limits.most >= 64 && limits.most <= 8192 && limits.most_of_one * 4 <= limits.most, "{limits:?}");
    }

    #[tokio::test]
    async fn a_connection_is_silent_only_while_nothing_of_it_is_answered() {
        let (first_wait, idle) = (Duration::from_millis(20), Duration::from_millis(40));
        let limits = ConnectionLimits { first_wait, idle, ..ConnectionLimits::default() };
        let began = Instant::now();
        let life = Life::begin();
        life.silent(&limits).await;
        assert!(began.elapsed() >= first_wait);
        let request = life.request();
        assert!(timeout(idle * 4, life.silent(&limits)).await.is_err(), "a long answer is no silence");
        let began = Instant::now();
        drop(request);
        life.silent(&limits).await;
        assert!(began.elapsed() >= idle);
    }
}
