//! TLS with rustls and ring. Trusts the system's roots and those of an optional file. Always verifies the server's
//! name.

use super::settings::OpenError;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Makes TLS connections to one server.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    server: ServerName<'static>,
}

impl Tls {
    /// Reads the roots. Errors: a `ca_file` that cannot be read or has no certificate, or no root at all.
    pub fn new(host: &str, ca_file: Option<&Path>) -> Result<Tls, OpenError> {
        let roots = roots(ca_file)?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| OpenError::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = ServerName::try_from(host.to_string())
            .map_err(|error| OpenError::Tls(error.to_string()))?;
        Ok(Tls {
            connector: TlsConnector::from(Arc::new(config)),
            server,
        })
    }

    /// Errors say what is wrong with the certificate.
    pub async fn handshake(&self, plain: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.server.clone(), plain).await
    }
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, OpenError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = ca_file {
        let failed = |why: String| OpenError::CaFile {
            path: path.to_path_buf(),
            why,
        };
        let found = CertificateDer::pem_file_iter(path).map_err(|e| failed(e.to_string()))?;
        let before = roots.len();
        for certificate in found {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| failed(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(failed("it contains no certificate".to_string()));
        }
    }
    if roots.is_empty() {
        let why = native.errors.first().map(ToString::to_string);
        return Err(OpenError::NoRoots {
            why: why.unwrap_or_else(|| "none found".to_string()),
        });
    }
    Ok(roots)
}

/// Version and cipher suite: `TLSv1.3 TLS13_AES_256_GCM_SHA384`.
pub fn description(stream: &TlsStream<TcpStream>) -> String {
    let (_, connection) = stream.get_ref();
    let version = connection
        .protocol_version()
        .map(|version| format!("{version:?}").replace('_', "."))
        .unwrap_or_else(|| "TLS".to_string());
    let suite = connection
        .negotiated_cipher_suite()
        .map(|suite| format!("{:?}", suite.suite()))
        .unwrap_or_default();
    format!("{version} {suite}")
}
