//! TLS with rustls and ring. Trusts the system's roots, or those of `ca_file` instead, for the server's name; a
//! certificate that stands itself in that file is trusted even if it is one of a CA (pinned).

use super::settings::OpenError;
use crate::bounded_file;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, RootCertStore,
    SignatureScheme,
};

/// Longer than the roots of any system.
const MAX_CA_FILE_BYTES: u64 = 16 << 20;

/// Makes TLS connections to one server.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    server: ServerName<'static>,
}

impl Tls {
    /// Reads the roots. Errors: a `ca_file` that cannot be read or has no certificate, or no root at all.
    pub fn new(host: &str, ca_file: Option<&Path>) -> Result<Tls, OpenError> {
        let provider = Arc::new(ring::default_provider());
        let (roots, pinned) = trusted(ca_file)?;
        let by_roots =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let by_roots = by_roots.build();
        let verifier = Verifier {
            pinned,
            by_roots: by_roots.map_err(|error| OpenError::Tls(error.to_string()))?,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| OpenError::Tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
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

/// A certificate that `openssl req -x509` makes is a CA and its own issuer, and a CA is no server's certificate to
/// webpki. If the user has put it into `ca_file`, it is trusted for its name and until it expires.
#[derive(Debug)]
struct Verifier {
    pinned: Vec<CertificateDer<'static>>,
    by_roots: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.by_roots.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // Its dates are right: they are checked before, with an error of their own. Its name was not checked yet.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.pinned.iter().any(|pinned| pinned == end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_roots
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_roots
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_roots.supported_verify_schemes()
    }
}

/// Whether the other side of a handshake spoke TLS, even if its certificate is not trusted.
pub fn is_tls<T>(handshake: &std::io::Result<T>) -> bool {
    match handshake {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::InvalidData && !is_plain_text(error),
    }
}

/// The handshake failed because the server does not speak TLS here.
pub fn is_plain_text(error: &std::io::Error) -> bool {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    matches!(
        inner,
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType))
    )
}

/// The roots, and the certificates of the file. A file stands in the place of the system's roots, so that a
/// certificate that any public CA has issued for the relay's name does not count.
fn trusted(
    ca_file: Option<&Path>,
) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), OpenError> {
    match ca_file {
        Some(path) => of_file(path).map_err(|why| OpenError::CaFile {
            path: path.to_path_buf(),
            why,
        }),
        None => Ok((of_system()?, Vec::new())),
    }
}

fn of_file(path: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), String> {
    let (mut roots, mut pinned) = (RootCertStore::empty(), Vec::new());
    let bytes = bounded_file::read(path, MAX_CA_FILE_BYTES).map_err(|error| error.to_string())?;
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        pinned.push(certificate.clone());
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    match roots.is_empty() {
        true => Err("it contains no certificate".to_string()),
        false => Ok((roots, pinned)),
    }
}

fn of_system() -> Result<RootCertStore, OpenError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stands_in_the_place_of_the_roots_of_the_system() {
        let made = mailq_testkit::relay::certificate::good("mx.example");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), made.pem).unwrap();
        let (roots, pinned) = trusted(Some(file.path())).unwrap();
        assert_eq!((roots.len(), pinned.len()), (1, 1));
    }

    #[test]
    fn tells_a_server_without_tls_from_one_with_another_certificate() {
        let failed = |error: Error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
        let text = failed(Error::InvalidMessage(InvalidMessage::InvalidContentType));
        assert!(is_plain_text(&text) && !is_tls::<()>(&Err(text)));
        assert!(is_tls::<()>(&Err(failed(Error::DecryptError))));
        assert!(!is_tls::<()>(
            &Err(std::io::ErrorKind::UnexpectedEof.into())
        ));
    }
}
