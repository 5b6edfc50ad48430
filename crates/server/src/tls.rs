//! TLS of the doors that speak HTTP.
//!
//! Owns: the certificate, read again when its files change. Never decides who may listen where; that is the settings'.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use crate::ServerError;

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A certificate and its key, in PEM files.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate, then those that signed it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Tls {
    /// What the door shows to clients; `protocols` are what it speaks, the preferred one first.
    ///
    /// # Errors
    /// [`ServerError::Certificate`] when the files cannot be read or do not belong together.
    pub(crate) fn acceptor(self, protocols: &[&[u8]]) -> Result<TlsAcceptor, ServerError> {
        let certificates = Arc::new(Certificates::read(self)?);
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| certificates.bad(error.to_string()))?;
        let mut config = config.with_no_client_auth().with_cert_resolver(certificates);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
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
