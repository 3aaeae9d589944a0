//! Whom a TLS connection trusts.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use store::{Error, Why};

/// TLS that trusts the certificate authorities in `file`, else the system's; none at all where no connection will need
/// it, for reading them takes time.
///
/// # Errors
/// [`Error::Config`] if the file holds none, or the system has none.
pub(crate) fn settings(needed: bool, file: Option<&Path>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    match file {
        _ if !needed => {}
        Some(path) => {
            let cannot = |why: String| {
                let text = format!("cannot use the certificates in {}: {why}", path.display());
                Error::Config(Why::hinted(text, "WALG_S3_CA_CERT_FILE names a file of certificates in PEM form."))
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(|e| cannot(e.to_string()))? {
                let certificate = certificate.map_err(|e| cannot(e.to_string()))?;
                roots.add(certificate).map_err(|e| cannot(e.to_string()))?;
            }
            if roots.is_empty() {
                return Err(cannot("there are none".to_owned()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                let hint = "Install the package ca-certificates, or set WALG_S3_CA_CERT_FILE.";
                return Err(Error::Config(Why::hinted("this system has no certificate authorities", hint)));
            }
        }
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Config(format!("no TLS: {e}").into()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
