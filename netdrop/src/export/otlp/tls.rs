//! What TLS needs: whom to trust, and the own certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::error::SettingsError;
use super::settings::Settings;

/// Where distributions keep the certificates of the authorities that they trust: Debian and Alpine, Fedora, openSUSE, others.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A client of TLS 1.2 or 1.3 that offers `protocol` (ALPN: `h2`, `http/1.1`).
pub(super) fn client(settings: &Settings, protocol: &str) -> Result<ClientConfig, SettingsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(settings)?);
    let mut config = match (&settings.cert_file, &settings.key_file) {
        (Some(chain), Some(key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| said(key, "private key", error))?;
            builder.with_client_auth_cert(certificates(chain)?, key)?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.into()];
    Ok(config)
}

fn roots(settings: &Settings) -> Result<RootCertStore, SettingsError> {
    let path = match &settings.ca_file {
        Some(path) => path.as_path(),
        None => SYSTEM
            .into_iter()
            .map(Path::new)
            .find(|path| path.exists())
            .ok_or(SettingsError::NoAuthorities)?,
    };
    let mut roots = RootCertStore::empty();
    // A system's file may hold one that is too old to be read: the others are good all the same.
    roots.add_parsable_certificates(certificates(path)?);
    if roots.is_empty() {
        return Err(SettingsError::Pem { path: path.into(), what: "certificate" });
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    let all = read().map_err(|error| said(path, "certificate", error))?;
    if all.is_empty() {
        return Err(SettingsError::Pem { path: path.into(), what: "certificate" });
    }
    Ok(all)
}

fn said(path: &Path, what: &'static str, error: pem::Error) -> SettingsError {
    match error {
        pem::Error::Io(error) => SettingsError::File { path: path.into(), error },
        _ => SettingsError::Pem { path: path.into(), what },
    }
}
