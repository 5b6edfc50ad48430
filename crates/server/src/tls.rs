//! TLS of the HTTP door.
//!
//! Owns: the certificate, read again when its files change, and handshakes beside the door, so that a slow one holds
//! nobody up. Never decides who may listen where; that is the settings'.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use axum::serve::Listener;
use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::ServerError;

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a client may take for its handshake.
const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(10);

/// Handshakes at once; further connections wait in the system's queue.
const HANDSHAKES_MAX: usize = 256;

/// Pause after the system gave no connection, most often for want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A certificate and its key, in PEM files.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate, then those that signed it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Tls {
    /// What the door shows to clients.
    ///
    /// # Errors
    /// [`ServerError::Certificate`] when the files cannot be read or do not belong together.
    pub(crate) fn acceptor(self) -> Result<TlsAcceptor, ServerError> {
        let certificates = Arc::new(Certificates::read(self)?);
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| certificates.bad(error.to_string()))?;
        let mut config = config.with_no_client_auth().with_cert_resolver(certificates);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// When the two files were last written.
type Written = (Option<SystemTime>, Option<SystemTime>);

#[derive(Debug)]
struct Certificates {
    files: Tls,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    written: Written,
    looked: Instant,
}

impl Certificates {
    fn read(files: Tls) -> Result<Self, ServerError> {
        let written = written(&files);
        let key =
            load(&files).map_err(|reason| ServerError::Certificate { path: files.certificate.clone(), reason })?;
        Ok(Self { files, current: Mutex::new(Current { key: Arc::new(key), written, looked: Instant::now() }) })
    }

    fn bad(&self, reason: String) -> ServerError {
        ServerError::Certificate { path: self.files.certificate.clone(), reason }
    }

    /// The newest pair that could be read.
    fn newest(&self) -> Arc<CertifiedKey> {
        let mut current = self.current.lock();
        if current.looked.elapsed() < LOOK_EVERY {
            return Arc::clone(&current.key);
        }
        current.looked = Instant::now();
        let written = written(&self.files);
        if written != current.written {
            match load(&self.files) {
                Ok(key) => {
                    current.key = Arc::new(key);
                    current.written = written;
                    tracing::info!(file = %self.files.certificate.display(), "the certificate was read again");
                }
                // Often only one of the two has been written yet: the next look tries again.
                Err(reason) => tracing::warn!(reason, "the changed certificate cannot be used, the old one stays"),
            }
        }
        Arc::clone(&current.key)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.newest())
    }
}

fn written(files: &Tls) -> Written {
    let at = |path: &Path| fs::metadata(path).and_then(|facts| facts.modified()).ok();
    (at(&files.certificate), at(&files.key))
}

fn load(files: &Tls) -> Result<CertifiedKey, String> {
    let of = |path: &Path, why: String| format!("{}: {why}", path.display());
    let bad = |error: &dyn std::fmt::Display| of(&files.certificate, error.to_string());
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect).map_err(|error| bad(&error))?;
    if chain.is_empty() {
        return Err(of(&files.certificate, "it has no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| of(&files.key, error.to_string()))?;
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(|error| of(&files.key, error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|error| format!("certificate and key do not belong together: {error}"))?;
    Ok(certified)
}

/// Connections whose handshake is done.
pub(crate) struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    /// Accepts from now on, until `stop`.
    pub(crate) fn new(
        listener: TcpListener,
        address: SocketAddr,
        acceptor: TlsAcceptor,
        stop: CancellationToken,
    ) -> Self {
        let (sender, ready) = mpsc::channel(1);
        tokio::spawn(async move {
            let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
            while let Some(Ok(place)) = stop.run_until_cancelled(Arc::clone(&places).acquire_owned()).await {
                let (stream, peer) = match stop.run_until_cancelled(listener.accept()).await {
                    None => return,
                    Some(Ok(accepted)) => accepted,
                    Some(Err(error)) => {
                        tracing::debug!(%error, "no connection could be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                };
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    match tokio::time::timeout(HANDSHAKE_WAIT_MAX, acceptor.accept(stream)).await {
                        // The door closes: nobody waits for the connection any more.
                        Ok(Ok(stream)) => drop(sender.send((stream, peer)).await),
                        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                        Err(_) => tracing::debug!("a TLS handshake took too long"),
                    }
                    drop(place);
                });
            }
        });
        Self { ready, address }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}
