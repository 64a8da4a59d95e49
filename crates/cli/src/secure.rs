//! Why a connection by TLS did not come up, in words for people.

use rustls::{AlertDescription, CertificateError, Error as TlsError};
use std::{error::Error, io};
use tonic::Status;

/// What failed, and what to do, where TLS is the reason that a call did not arrive at `url`.
#[must_use]
pub fn reason(status: &Status, url: &str) -> Option<[String; 2]> {
    let error = tls_error(status)?;
    let lines = |what: String, remedy: &str| Some([what, remedy.to_owned()]);
    match error {
        TlsError::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => lines(
            format!("the certificate of {url} is not trusted: give --tls-ca-file"),
            "it names the file with the authority that signed it; the operators have it",
        ),
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => lines(
            format!("the certificate of {url} is for other names"),
            "write the URL with a name that the certificate has",
        ),
        TlsError::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => lines(
            format!("the certificate of {url} has expired"),
            "the operators must replace it; also look at this machine's clock",
        ),
        TlsError::InvalidCertificate(other) => lines(
            format!("the certificate of {url} cannot be used: {other}"),
            "the operators must replace it, or --tls-ca-file must name the authority that signed it",
        ),
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => lines(
            format!("{url} asks for a client certificate"),
            "give --tls-client-certificate-file and --tls-client-key-file",
        ),
        TlsError::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError,
        ) => lines(
            format!("{url} does not accept the client certificate: {error}"),
            "give one that its operators signed with --tls-client-certificate-file",
        ),
        TlsError::InvalidMessage(_) => lines(
            format!("{url} does not speak TLS"),
            "write it with http://, if the network may read along",
        ),
        other => lines(
            format!("no TLS connection to {url} came up: {other}"),
            "`digits doctor` checks the rest",
        ),
    }
}

/// The error of TLS among the causes. An `io::Error` hides what it wraps from `source`; HTTP/2 keeps only its text.
fn tls_error(status: &Status) -> Option<TlsError> {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<TlsError>() {
            return Some(found.clone());
        }
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<TlsError>());
        if let Some(found) = wrapped {
            return Some(found.clone());
        }
        if let Some(found) = alert_in(&error.to_string()) {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// The alerts that come after the handshake, when the client is through with it and the server is not.
fn alert_in(text: &str) -> Option<TlsError> {
    let known = [
        AlertDescription::CertificateRequired,
        AlertDescription::UnknownCA,
        AlertDescription::BadCertificate,
        AlertDescription::CertificateExpired,
        AlertDescription::DecryptError,
    ];
    let mut errors = known.into_iter().map(TlsError::AlertReceived);
    errors.find(|error| text.contains(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: impl Into<Box<dyn Error + Send + Sync>>, part: Option<&str>) {
        let status = Status::from_error(error.into());
        let told = reason(&status, "https://a:1");
        assert_eq!(told.is_some(), part.is_some(), "{told:?}");
        if let (Some([what, remedy]), Some(part)) = (told, part) {
            assert!(
                format!("{what}\n{remedy}").contains(part),
                "{what}\n{remedy}"
            );
        }
    }

    #[test]
    fn each_reason_has_its_remedy() {
        let certificate = TlsError::InvalidCertificate;
        let io = |error: TlsError| io::Error::new(io::ErrorKind::InvalidData, error);
        check(
            io(certificate(CertificateError::UnknownIssuer)),
            Some("the certificate of https://a:1 is not trusted: give --tls-ca-file"),
        );
        check(
            io(certificate(CertificateError::NotValidForName)),
            Some("other names"),
        );
        check(io(certificate(CertificateError::Expired)), Some("expired"));
        check(
            io::Error::other("received fatal alert: the peer sent CertificateRequired"),
            None,
        );
        let required = TlsError::AlertReceived(AlertDescription::CertificateRequired);
        check(
            io::Error::other(required.to_string()),
            Some("--tls-client-certificate-file"),
        );
        check(io::Error::other("connection refused"), None);
    }
}
