//! TLS as libpq understands `sslmode`, with rustls.
//!
//! Narrower than OpenSSL in one thing: a certificate of X.509 version 1 cannot be verified.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tool::{Failure, Status};

use super::{Parameters, SslMode, wrong};

/// The client's side of TLS for these parameters.
///
/// # Errors
/// 78 where a certificate or key is missing or cannot be read.
pub fn config(p: &Parameters) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(verifier(p, &provider)?);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(format!("cannot use TLS: {e}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match (&p.sslcert, &p.sslkey) {
        (Some(cert), Some(key)) if p.sslcert_given || cert.exists() => {
            let cannot =
                |e: &dyn std::fmt::Display| wrong(format!("cannot use the certificate {}: {e}", cert.display()));
            let chain = certificates(cert)?;
            builder.with_client_auth_cert(chain, private_key(key)?).map_err(|e| cannot(&e))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

/// Why the handshake failed, and what to do about it where that is known.
pub fn words(error: &Error) -> (String, Option<&'static str>) {
    let Error::InvalidCertificate(why) = error else { return (format!("no TLS: {error}"), None) };
    let (text, hint) = match why {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "is for another host".to_owned(),
            Some("PGHOST must be a name that is in the certificate: in subjectAltName, or CN where there is none."),
        ),
        CertificateError::UnknownIssuer => (
            "is from nobody who is trusted".to_owned(),
            Some("PGSSLROOTCERT names the file with the authorities that are."),
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => ("has expired".to_owned(), None),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("is not valid yet".to_owned(), Some("Is the clock of this machine right?"))
        }
        CertificateError::Other(why) if why.to_string().contains("UnsupportedCertVersion") => {
            ("is of X.509 version 1 or 2".to_owned(), Some("Make one of version 3, with a subjectAltName."))
        }
        other => (format!("is not accepted: {other}"), None),
    };
    (format!("the server's certificate {text}"), hint)
}

/// How much of the server's certificate counts.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Nothing counts without it.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates that are trusted by themselves.
    roots: Vec<CertificateDer<'static>>,
    /// Whether the name counts.
    name: bool,
}

fn verifier(p: &Parameters, provider: &Arc<CryptoProvider>) -> Result<Verifier, Failure> {
    let provider = provider.clone();
    let path = p.sslrootcert.as_deref();
    let from_system = p.sslrootcert_given && path == Some(Path::new("system"));
    let name = p.sslmode == SslMode::VerifyFull;
    if from_system && !name {
        return Err(wrong("sslrootcert=system needs PGSSLMODE=verify-full".into()));
    }
    // A root certificate at hand makes `require` check it, as libpq does.
    let wanted = match p.sslmode {
        SslMode::VerifyCa | SslMode::VerifyFull => true,
        SslMode::Require => path.is_some_and(Path::exists),
        SslMode::Disable | SslMode::Allow | SslMode::Prefer => false,
    };
    if !wanted {
        return Ok(Verifier { provider, chain: None, roots: Vec::new(), name: false });
    }
    let roots = match path {
        Some(_) if from_system => rustls_native_certs::load_native_certs().certs,
        Some(path) if p.sslrootcert_given || path.exists() => certificates(path)?,
        _ => {
            return Err(wrong("no root certificate to check the server's with".into())
                .hint("Put it into ~/.postgresql/root.crt or name it with PGSSLROOTCERT (system: the system's own)."));
        }
    };
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned());
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
        .build()
        .map_err(|e| wrong(format!("cannot use the root certificates: {e}")))?;
    Ok(Verifier { provider, chain: Some(chain), roots, name })
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        cert: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        let result = match chain.verify_server_cert(cert, between, name, ocsp, now) {
            // A self-signed certificate of `openssl req -x509` calls itself an authority; trusted as it stands, it is
            // good.  Its dates have been looked at before.
            Err(Error::InvalidCertificate(CertificateError::Other(why))) if why.to_string() == "CaUsedAsEndEntity" => {
                if self.roots.iter().any(|root| root == cert) {
                    rustls::client::verify_server_name(&ParsedCertificate::try_from(cert)?, name)
                } else {
                    Err(CertificateError::UnknownIssuer.into())
                }
            }
            result => result.map(drop),
        };
        match result {
            // The name is looked at last: all else is good.
            Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }))
                if !self.name || (presented.is_empty() && is_common_name(cert, &name.to_str())) =>
            {
                Ok(ServerCertVerified::assertion())
            }
            result => result.map(|()| ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.chain {
            None => Ok(HandshakeSignatureValid::assertion()), // whoever it is
            Some(_) => {
                verify_tls12_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
            }
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.chain {
            None => Ok(HandshakeSignatureValid::assertion()), // whoever it is
            Some(_) => {
                verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
            }
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether the certificate's CN is the host's name, or `*.` and all of it but the first label.
fn is_common_name(cert: &CertificateDer<'_>, host: &str) -> bool {
    use x509_cert::der::asn1::{PrintableStringRef, Utf8StringRef};
    use x509_cert::der::{Decode, Encode, oid::db::rfc4519::CN};
    let Ok(cert) = x509_cert::Certificate::from_der(cert) else { return false };
    let attributes = cert.tbs_certificate.subject.0.iter().flat_map(|rdn| rdn.0.iter());
    attributes.filter(|attribute| attribute.oid == CN).any(|attribute| {
        let Ok(der) = attribute.value.to_der() else { return false };
        let utf8 = Utf8StringRef::from_der(&der).map(|s| s.as_str().to_owned());
        let Ok(name) = utf8.or_else(|_| PrintableStringRef::from_der(&der).map(|s| s.as_str().to_owned())) else {
            return false;
        };
        let wild =
            || name.strip_prefix("*.").zip(host.split_once('.')).is_some_and(|(n, (_, h))| n.eq_ignore_ascii_case(h));
        name.eq_ignore_ascii_case(host) || wild()
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let cannot = |why: String| wrong(format!("cannot read the certificates in {}: {why}", path.display()));
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| cannot(pem_words(&e)))?;
    if found.is_empty() { Err(cannot("there are none".into())) } else { Ok(found) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    use std::os::unix::fs::MetadataExt;
    let shown = path.display();
    if path.metadata().is_ok_and(|m| m.mode() & if m.uid() == 0 { 0o037 } else { 0o077 } != 0) {
        return Err(Failure::new(Status::Config, format!("the private key {shown} can be read by others"))
            .hint(format!("chmod 600 {shown}")));
    }
    PrivateKeyDer::from_pem_file(path)
        .map_err(|e| wrong(format!("cannot read the private key {shown}: {}", pem_words(&e))))
}

fn pem_words(error: &rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(e) => tool::reason(e),
        other => other.to_string(),
    }
}
