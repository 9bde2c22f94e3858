//! Certificate, key and token, which may be read again while the server runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use ring::digest::{Digest, SHA256, digest};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use subtle::ConstantTimeEq as _;
use tokio_rustls::TlsAcceptor;

use super::{HttpError, Settings};

/// A token that can be guessed protects nothing: 16 characters of base64 are 96 bits.
const SHORTEST_TOKEN: usize = 16;

/// What the running server uses, and the handle to replace it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Secrets(Arc<RwLock<Loaded>>);

#[derive(Debug, Clone)]
struct Loaded {
    tls: Option<Tls>,
    token: Option<Token>,
}

#[derive(Clone)]
struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// Only its hash is kept, which has the same length for all.
#[derive(Clone)]
struct Token(Digest);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Secrets {
    /// Checks the settings, and reads what they name.
    pub(super) fn load(settings: &Settings) -> Result<Self, HttpError> {
        Loaded::read(settings).map(|loaded| Self(Arc::new(RwLock::new(loaded))))
    }

    /// Reads certificate, key and token again: new connections and requests get them. Addresses and limits stay as they were.
    ///
    /// # Errors
    /// When they can't be used; the old ones stay in use.
    pub fn reload(&self, settings: &Settings) -> Result<(), HttpError> {
        let loaded = Loaded::read(settings)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// What makes a TLS connection; nothing where there is no certificate.
    pub(super) fn tls(&self) -> Option<TlsAcceptor> {
        let loaded = self.0.read().unwrap_or_else(PoisonError::into_inner);
        loaded.tls.as_ref().map(|Tls(acceptor)| acceptor.clone())
    }

    /// Whether a request must show a token.
    pub(super) fn has_token(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).token.is_some()
    }

    /// Whether this is the value of `Authorization` that is asked for.
    pub(super) fn allow(&self, authorization: Option<&[u8]>) -> bool {
        let loaded = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(token) = &loaded.token else { return true };
        let shown = authorization.and_then(bearer).unwrap_or_default();
        token.is(shown)
    }
}

impl Token {
    fn new(token: &[u8]) -> Self {
        Self(digest(&SHA256, token))
    }

    /// In the same time whatever is shown.
    fn is(&self, shown: &[u8]) -> bool {
        self.0.as_ref().ct_eq(digest(&SHA256, shown).as_ref()).into()
    }
}

/// The token in `Bearer TOKEN`; the scheme's case is no matter (RFC 9110, section 11.1).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

impl Loaded {
    fn read(settings: &Settings) -> Result<Self, HttpError> {
        settings.check()?;
        let tls = match (&settings.tls_cert, &settings.tls_key) {
            (Some(certificate), Some(key)) => Some(tls(certificate, key)?),
            _ => None,
        };
        let token = settings.token_file.as_deref().map(token).transpose()?;
        Ok(Self { tls, token })
    }
}

fn tls(certificate: &Path, key: &Path) -> Result<Tls, HttpError> {
    let pem = read("tls_cert", certificate)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| content("tls_cert", certificate, format!("is no PEM: {error}")))?;
    if chain.is_empty() {
        return Err(content("tls_cert", certificate, "has no certificate (-----BEGIN CERTIFICATE-----)"));
    }
    let private = PrivateKeyDer::from_pem_slice(&read("tls_key", key)?)
        .map_err(|error| content("tls_key", key, format!("has no private key in PEM: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| content("tls_key", key, format!("can't be used with the certificate: {error}")))?;
    Ok(Tls(TlsAcceptor::from(Arc::new(config))))
}

fn token(path: &Path) -> Result<Token, HttpError> {
    let bytes = read("token_file", path)?;
    let token = bytes.trim_ascii();
    if token.len() < SHORTEST_TOKEN {
        let why = format!(
            "has a token of {} characters, and {SHORTEST_TOKEN} are the least (make one with `openssl rand -base64 32`)",
            token.len()
        );
        return Err(content("token_file", path, why));
    }
    if !token.iter().all(u8::is_ascii_graphic) {
        return Err(content("token_file", path, "has a token with spaces or characters outside of ASCII"));
    }
    Ok(Token::new(token))
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, HttpError> {
    fs::read(path).map_err(|error| HttpError::File { what, path: PathBuf::from(path), error })
}

fn content(what: &'static str, path: &Path, why: impl Into<String>) -> HttpError {
    HttpError::Content { what, path: path.into(), why: why.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn with_token(text: &str) -> (tempfile::TempDir, Settings) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, text).unwrap();
        (folder, Settings { token_file: Some(path), ..Settings::default() })
    }

    #[rstest]
    #[case("Bearer 0123456789abcdef", true)]
    #[case("bearer 0123456789abcdef", true)]
    #[case("Bearer  0123456789abcdef ", true)]
    #[case("Bearer 0123456789abcdeF", false)]
    #[case("Bearer 0123456789abcde", false)]
    #[case("Bearer 0123456789abcdef0", false)]
    #[case("Bearer ", false)]
    #[case("Bearer", false)]
    #[case("Basic 0123456789abcdef", false)]
    #[case("", false)]
    fn the_token_must_be_shown(#[case] authorization: &str, #[case] allowed: bool) {
        let (_folder, settings) = with_token(&format!("{TOKEN}\n"));
        let secrets = Secrets::load(&settings).unwrap();
        assert_eq!(secrets.allow(Some(authorization.as_bytes())), allowed);
        assert!(!secrets.allow(None));
    }

    #[rstest]
    #[case("", "0 characters")]
    #[case("short", "5 characters")]
    #[case("sixteen letters and spaces", "spaces")]
    #[case("sechzehn-Zeichen-ä", "ASCII")]
    fn a_token_that_is_none_is_refused(#[case] text: &str, #[case] told: &str) {
        let (_folder, settings) = with_token(text);
        let error = Secrets::load(&settings).unwrap_err().to_string();
        assert!(error.contains(told) && !error.contains("sechzehn"), "{error}");
    }

    #[test]
    fn a_new_token_replaces_the_old_and_a_bad_one_does_not() {
        let (_folder, settings) = with_token(TOKEN);
        let path = settings.token_file.as_ref().unwrap();
        let secrets = Secrets::load(&settings).unwrap();
        fs::write(path, "bad").unwrap();
        secrets.reload(&settings).unwrap_err();
        assert!(secrets.allow(Some(b"Bearer 0123456789abcdef")));
        fs::write(path, "fedcba9876543210").unwrap();
        secrets.reload(&settings).unwrap();
        assert!(!secrets.allow(Some(b"Bearer 0123456789abcdef")));
        assert!(secrets.allow(Some(b"Bearer fedcba9876543210")));
    }

    #[test]
    fn files_are_named() {
        let (_folder, settings) = with_token(TOKEN);
        let file = settings.token_file.clone();
        let missing = Settings { token_file: Some("/nowhere/token".into()), ..Settings::default() };
        assert!(Secrets::load(&missing).unwrap_err().to_string().contains("/nowhere/token"));
        let no_pem = Settings { tls_cert: file.clone(), tls_key: file, ..Settings::default() };
        let error = Secrets::load(&no_pem).unwrap_err().to_string();
        assert!(error.contains("BEGIN CERTIFICATE"), "{error}");
    }

    #[test]
    fn secrets_are_never_printed() {
        let (_folder, settings) = with_token(TOKEN);
        assert_eq!(
            format!("{:?}", Secrets::load(&settings).unwrap().0.read().unwrap()),
            "Loaded { tls: None, token: Some(Token) }"
        );
    }

    proptest! {
        #[test]
        fn no_other_token_passes(shown in any::<Vec<u8>>()) {
            let right = Token::new(TOKEN.as_bytes());
            prop_assert_eq!(right.is(&shown), shown == TOKEN.as_bytes());
            let _ = bearer(&shown);
        }
    }
}
