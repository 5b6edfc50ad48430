//! TLS as libpq's `sslmode` means it.
//!
//! Owns: which certificates are trusted in which mode, and the client's own certificate. Never opens a socket.

use std::{io, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use tokio_rustls::TlsConnector;

use super::{
    error::PostgresError,
    settings::{ConnectSettings, Host, SslMode},
};

/// A TLS client ready for one server.
#[derive(Clone)]
pub(crate) struct TlsClient {
    pub(crate) connector: TlsConnector,
    pub(crate) server_name: ServerName<'static>,
}

impl TlsClient {
    /// Prepares TLS; `None` when the settings or a Unix socket rule it out.
    pub(crate) async fn new(settings: &ConnectSettings) -> Result<Option<Self>, PostgresError> {
        let (Host::Tcp(host), true) = (&settings.host, settings.ssl_mode != SslMode::Disable) else {
            return Ok(None);
        };
        let server_name = ServerName::try_from(host.clone()).map_err(|error| PostgresError::Tls {
            address: settings.address(),
            source: io::Error::new(io::ErrorKind::InvalidInput, error),
        })?;
        let config = client_config(settings).await?;
        Ok(Some(Self { connector: TlsConnector::from(Arc::new(config)), server_name }))
    }
}

async fn client_config(settings: &ConnectSettings) -> Result<ClientConfig, PostgresError> {
    let failed = |error: TlsError| PostgresError::Tls {
        address: settings.address(),
        source: io::Error::new(io::ErrorKind::InvalidData, error),
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = verifier(settings, &provider).await?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match &settings.ssl_client {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain = certificates(certificate).await?;
            let key_text = read(key).await?;
            let key = PrivateKeyDer::from_pem_slice(&key_text)
                .map_err(|error| PostgresError::Certificate { path: key.clone(), reason: error.to_string() })?;
            builder.with_client_auth_cert(chain, key).map_err(failed)
        }
    }
}

async fn verifier(
    settings: &ConnectSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, PostgresError> {
    let checks_host = settings.ssl_mode == SslMode::VerifyFull;
    let checks_authority = checks_host
        || settings.ssl_mode == SslMode::VerifyCa
        || (settings.ssl_mode == SslMode::Require && settings.ssl_root_cert.is_some());
    if !checks_authority {
        return Ok(Arc::new(SelectiveVerifier { provider: Arc::clone(provider), authority: None }));
    }
    let roots = Arc::new(root_store(settings).await?);
    let authority =
        WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build().map_err(|error| {
            PostgresError::Tls {
                address: settings.address(),
                source: io::Error::new(io::ErrorKind::InvalidData, error),
            }
        })?;
    if checks_host {
        return Ok(authority);
    }
    Ok(Arc::new(SelectiveVerifier { provider: Arc::clone(provider), authority: Some(authority) }))
}

/// The authorities of `sslrootcert`, else the system's.
async fn root_store(settings: &ConnectSettings) -> Result<RootCertStore, PostgresError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &settings.ssl_root_cert {
        for certificate in certificates(path).await? {
            roots
                .add(certificate)
                .map_err(|error| PostgresError::Certificate { path: path.clone(), reason: error.to_string() })?;
        }
        return Ok(roots);
    }
    // Reading the system's store is file work.
    let native = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs)
        .await
        .map_err(|error| PostgresError::Tls { address: settings.address(), source: io::Error::other(error) })?;
    roots.add_parsable_certificates(native.certs);
    Ok(roots)
}

async fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PostgresError> {
    let text = read(path).await?;
    let wrong = |reason: String| PostgresError::Certificate { path: path.to_owned(), reason };
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() { Err(wrong("it holds no certificate".to_owned())) } else { Ok(found) }
}

async fn read(path: &Path) -> Result<Vec<u8>, PostgresError> {
    tokio::fs::read(path)
        .await
        .map_err(|error| PostgresError::Certificate { path: path.to_owned(), reason: error.to_string() })
}

/// Checks the authority but not the host (`verify-ca`), or neither (`prefer`, `require`).
///
/// The handshake's signatures are always checked, so that the connection is at least with the certificate's owner.
#[derive(Debug)]
struct SelectiveVerifier {
    provider: Arc<CryptoProvider>,
    authority: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for SelectiveVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(authority) = &self.authority else { return Ok(ServerCertVerified::assertion()) };
        match authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The chain is checked before the name, so this error says that only the name differs.
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
