//! TLS to servers at `wss://` addresses.

use super::connection::Fault;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use std::env;
use std::io;
use std::sync::{Arc, OnceLock};
use tokio_tungstenite::Connector;

/// A file or a folder with the certificates of the only authorities to trust, as other programs read them.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Trusts the system's authorities and Mozilla's, or only those that [`VARIABLES`] name.
///
/// # Errors
/// If a variable is set and no certificate is found there.
pub fn connector() -> Result<Connector, Fault> {
    // Reading the system's store takes a while, and every attempt to reconnect needs it.
    static KEPT: OnceLock<Connector> = OnceLock::new();
    if let Some(kept) = KEPT.get() {
        return Ok(kept.clone());
    }
    let made = build()?;
    Ok(KEPT.get_or_init(|| made).clone())
}

fn build() -> Result<Connector, Fault> {
    let named = VARIABLES
        .into_iter()
        .find(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    match named {
        Some(name) if roots.is_empty() => {
            let why = found.errors.first();
            let why = why.map_or_else(|| "it holds none".into(), ToString::to_string);
            return Err(Fault::Refused(format!(
                "{name} names no certificates that can be read: {why}"
            )));
        }
        Some(_) => {}
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::Refused(format!("TLS cannot be used: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Connector::Rustls(Arc::new(config)))
}

/// The fault of a server whose certificate is not accepted; `None` for other errors.
pub fn explain(host: &str, error: &io::Error) -> Option<Fault> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::InvalidCertificate(why) => Some(Fault::Refused(format!(
            "the certificate of {host} is not accepted ({why}); SSL_CERT_FILE names a file with the certificate of a \
             private authority"
        ))),
        _ => None,
    }
}
