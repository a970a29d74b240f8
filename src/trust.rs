//! Floor 0: whom our clients believe, by TLS: rustls with ring, and the authorities of a file or
//! those that are built in (Mozilla's).
//!
//! Deliberately opens no connection, and asks neither the environment nor the system for roots.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Why there is no TLS. All of them are mistakes in the config.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file of authorities cannot be read or holds no certificate.
    #[error("cannot read certificates from {}: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What the library says.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// The TLS of a client that believes the authorities in `ca_file`. One that speaks plain HTTP gets
/// it too (the library demands it), and where it is not `is_used` no roots are loaded.
///
/// # Errors
/// [`TrustError`].
pub fn client(ca_file: Option<&Path>, is_used: bool) -> Result<ClientConfig, TrustError> {
    let roots = match ca_file {
        Some(path) => ca_roots(path)?,
        None if is_used => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
        None => RootCertStore::empty(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

fn ca_roots(path: &Path) -> Result<RootCertStore, TrustError> {
    let refuse = |reason: String| TrustError::CaFile { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| refuse(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
        roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refuse("no certificate in it".to_owned()));
    }
    Ok(roots)
}
