//! Whom a connection believes, and whom it shows.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};

use crate::{Access, Error, Identity, Trust};

/// TLS as it is to be spoken with that API server.
///
/// # Errors
/// When certificates or keys cannot be read, or do not fit each other.
pub fn config(access: &Access, read_again: Duration) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(&access.trust, &provider, read_again)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(match &access.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (certificates, key) = parse(identity)?;
            builder.with_client_auth_cert(certificates, key)?
        }
    })
}

fn parse(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let of = "the client's certificate";
    let certificates = certificates(&identity.certificates, of)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.0.as_bytes())
        .map_err(|error| Error::Pem { of: "the client's key".to_owned(), error })?;
    Ok((certificates, key))
}

fn certificates(pem: &[u8], of: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Pem { of: of.to_owned(), error })
}

fn verifier(
    trust: &Trust,
    provider: &Arc<CryptoProvider>,
    read_again: Duration,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    Ok(match trust {
        // What of the machine's certificates cannot be read is as if it were not there.
        Trust::System => believe(rustls_native_certs::load_native_certs().certs, provider, "this machine")?,
        Trust::Authorities(pem) => {
            let of = "certificate-authority-data";
            believe(certificates(pem, of)?, provider, of)?
        }
        Trust::File(path) => {
            let last = RwLock::new((load(path, provider)?, Instant::now()));
            Arc::new(Rereading { path: path.clone(), provider: provider.clone(), read_again, last })
        }
        Trust::Anyone => Arc::new(Anyone(provider.clone())),
    })
}

fn believe(
    authorities: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
    of: &str,
) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities);
    if roots.is_empty() {
        return Err(Error::NoAuthorities(of.to_owned()));
    }
    Ok(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?)
}

fn load(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let pem = fs::read(path).map_err(|error| Error::File { path: path.to_owned(), error })?;
    let of = path.display().to_string();
    believe(certificates(&pem, &of)?, provider, &of)
}

/// Believes the authorities in a file that Kubernetes may replace.
#[derive(Debug)]
struct Rereading {
    path: PathBuf,
    provider: Arc<CryptoProvider>,
    read_again: Duration,
    last: RwLock<(Arc<WebPkiServerVerifier>, Instant)>,
}

impl Rereading {
    /// A file that cannot be read leaves the authorities that were read last.
    fn now(&self) -> Arc<WebPkiServerVerifier> {
        let fresh = |last: &(_, Instant)| last.1.elapsed() < self.read_again;
        {
            let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
            if fresh(&last) {
                return last.0.clone();
            }
        }
        let mut last = self.last.write().unwrap_or_else(PoisonError::into_inner);
        match load(&self.path, &self.provider) {
            Ok(verifier) => last.0 = verifier,
            Err(error) => tracing::warn!(%error, "the last authorities are believed further"),
        }
        last.1 = Instant::now();
        last.0.clone()
    }
}

impl ServerCertVerifier for Rereading {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.now().verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12(message, certificate, signed, &self.provider)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13(message, certificate, signed, &self.provider)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Believes whoever answers, as a kubeconfig with `insecure-skip-tls-verify` wants it.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn verify_tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    provider: &CryptoProvider,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let algorithms = &provider.signature_verification_algorithms;
    rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
}

fn verify_tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    provider: &CryptoProvider,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let algorithms = &provider.signature_verification_algorithms;
    rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
}
