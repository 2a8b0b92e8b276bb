//! Certificates for the fake relay: good, expired, or for another name.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use std::sync::Arc;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

pub struct Certificate {
    pub pem: String,
    pub server: Arc<ServerConfig>,
}

pub fn good(name: &str) -> Certificate {
    made(CertificateParams::new(vec![name.to_string()]).unwrap())
}

pub fn expired(name: &str) -> Certificate {
    let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2020, 1, 1);
    made(params)
}

/// As `openssl req -x509` makes it: of a CA, its own issuer.
pub fn of_a_ca(name: &str) -> Certificate {
    let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    made(params)
}

fn made(params: CertificateParams) -> Certificate {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    Certificate {
        pem: certificate.pem(),
        server: Arc::new(config),
    }
}
