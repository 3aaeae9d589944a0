//! TLS as libpq understands `sslmode`, with rustls.
//!
//! Narrower than OpenSSL in two things: a host's name must be in the certificate's subjectAltName (the CN alone does
//! not count), and certificates of X.509 version 1 are refused.

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
        (Some(cert), Some(key)) if cert.exists() => {
            let cannot =
                |e: &dyn std::fmt::Display| wrong(format!("cannot use the certificate {}: {e}", cert.display()));
            let chain = certificates(cert)?;
            builder.with_client_auth_cert(chain, private_key(key)?).map_err(|e| cannot(&e))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

/// What to do about a certificate that is not accepted, where that is known.
pub fn hint(why: &CertificateError) -> Option<String> {
    Some(match why {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "The host's name must be in the certificate's subjectAltName; the CN alone does not count here.".into()
        }
        CertificateError::UnknownIssuer => "PGSSLROOTCERT names the file with the authorities that are trusted.".into(),
        _ => return None,
    })
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
    let from_system = p.sslroot_given && path == Some(Path::new("system"));
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
        Some(path) if p.sslroot_given || path.exists() => certificates(path)?,
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
        match chain.verify_server_cert(cert, between, name, ocsp, now) {
            // The name is looked at last: all else is good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name => Ok(ServerCertVerified::assertion()),
            // A self-signed certificate of `openssl req -x509` calls itself an authority; trusted as it stands, it is
            // good.  Its dates have been looked at before.
            Err(Error::InvalidCertificate(CertificateError::Other(why)))
                if why.to_string().contains("CaUsedAsEndEntity") && self.roots.iter().any(|root| root == cert) =>
            {
                if self.name {
                    rustls::client::verify_server_name(&ParsedCertificate::try_from(cert)?, name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let cannot = |why: String| wrong(format!("cannot read the certificates in {}: {why}", path.display()));
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| cannot(words(&e)))?;
    if found.is_empty() { Err(cannot("there are none".into())) } else { Ok(found) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    use std::os::unix::fs::MetadataExt;
    let shown = path.display();
    if path.metadata().is_ok_and(|m| m.mode() & if m.uid() == 0 { 0o037 } else { 0o077 } != 0) {
        return Err(Failure::new(Status::Config, format!("the private key {shown} can be read by others"))
            .hint(format!("chmod 600 {shown}")));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|e| wrong(format!("cannot read the private key {shown}: {}", words(&e))))
}

fn words(error: &rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(e) => tool::reason(e),
        other => other.to_string(),
    }
}
