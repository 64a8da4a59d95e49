//! What the user reads of a TLS handshake that failed.

use rustls::{AlertDescription, CertificateError, Error};

/// What failed, and what to do.
pub fn lines(error: &Error, url: &str) -> [String; 2] {
    let lines = |what: String, remedy: &str| [what, remedy.to_owned()];
    match error {
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => lines(
            format!("the certificate of {url} is not trusted: give --tls-ca-file"),
            "it takes the file with the authority that signed the certificate; the operators have it",
        ),
        Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented, ..
        }) if presented.is_empty() => lines(
            format!("the certificate of {url} names no host"),
            "the operators must replace it by one with subjectAltName=DNS:HOST: its common name does not count",
        ),
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => lines(
            format!("the certificate of {url} is for other host names"),
            "write the URL with a host name of the certificate",
        ),
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => lines(
            format!("the certificate of {url} has expired"),
            "the operators must replace it; also check this machine's clock",
        ),
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => lines(
            format!("the certificate of {url} is not valid yet"),
            "check this machine's clock; if it is right, the operators must replace the certificate",
        ),
        Error::InvalidCertificate(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            lines(
                format!(
                    "the certificate of {url} is a CA certificate, as `openssl req -x509` makes them"
                ),
                "the operators must replace it by one with basicConstraints=CA:FALSE that an authority signed",
            )
        }
        Error::InvalidCertificate(other)
            if format!("{other:?}").contains("UnsupportedSignatureAlgorithm") =>
        {
            lines(
                format!(
                    "the certificate of {url} is signed with an unsupported algorithm, such as ECDSA with P-521"
                ),
                "the operators must replace it by one of RSA, ECDSA with P-256 or P-384, or Ed25519",
            )
        }
        Error::InvalidCertificate(other) => lines(
            format!("the certificate of {url} cannot be used: {other}"),
            "the operators must replace it, or --tls-ca-file must name the authority that signed it",
        ),
        Error::AlertReceived(AlertDescription::CertificateRequired) => lines(
            format!("{url} requires a client certificate"),
            "give --tls-client-certificate-file and --tls-client-key-file",
        ),
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError,
        ) => lines(
            format!("{url} does not accept the client certificate: {error}"),
            "give one that its operators signed with --tls-client-certificate-file",
        ),
        Error::InvalidMessage(_) => lines(
            format!("{url} does not speak TLS"),
            "write the URL with http:// if unencrypted traffic is acceptable on this network",
        ),
        other => lines(
            format!("the TLS connection to {url} failed: {other}"),
            "`digits doctor` checks both services",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_remedy() {
        let certificate = Error::InvalidCertificate;
        for (error, part) in [
            (
                certificate(CertificateError::UnknownIssuer),
                "the certificate of https://a:1 is not trusted: give --tls-ca-file",
            ),
            (
                certificate(CertificateError::NotValidForName),
                "other host names",
            ),
            (certificate(CertificateError::Expired), "expired"),
            (
                certificate(CertificateError::NotValidYet),
                "is not valid yet\ncheck this machine's clock",
            ),
            (
                Error::AlertReceived(AlertDescription::CertificateRequired),
                "--tls-client-certificate-file",
            ),
        ] {
            let text = lines(&error, "https://a:1").join("\n");
            assert!(text.contains(part), "{text}");
        }
    }
}
