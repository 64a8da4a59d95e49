//! Reads certificates and private keys from PEM, with errors that say what a file holds instead.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The certificates of a file.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) if contains(pem, "PRIVATE KEY-----") => {
            Err("has a private key and no certificate in PEM: are both files swapped?".to_owned())
        }
        Ok(_) => Err("has no certificate in PEM".to_owned()),
        Err(error) => Err(format!("is not PEM: {error}")),
    }
}

/// The private key of a file. The causes are left out, so that nothing of the key gets into a log.
pub(super) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, &'static str> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        if contains(pem, "ENCRYPTED") {
            "has an encrypted private key: decrypt it with `openssl pkey -in FILE -out PLAIN_FILE`"
        } else if contains(pem, "BEGIN CERTIFICATE-----") {
            "has a certificate and no private key in PEM: are both files swapped?"
        } else {
            "has no private key in PEM"
        }
    })
}

fn contains(pem: &[u8], text: &str) -> bool {
    pem.windows(text.len()).any(|part| part == text.as_bytes())
}
