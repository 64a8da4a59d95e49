//! What clients hold against a certificate that the server itself can use.

use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::X509Certificate;

/// Why clients refuse the certificate of this chain, each as the end of a sentence with the remedy.
pub(super) fn doubts(chain: &[CertificateDer<'_>]) -> Vec<&'static str> {
    let parsed = chain
        .first()
        .and_then(|leaf| x509_parser::parse_x509_certificate(leaf).ok());
    parsed.map_or_else(Vec::new, |(_, leaf)| doubts_of(&leaf, now()))
}

fn doubts_of(leaf: &X509Certificate<'_>, now: i64) -> Vec<&'static str> {
    let names = leaf.subject_alternative_name();
    let named = matches!(names, Ok(Some(names)) if !names.value.general_names.is_empty());
    [
        (
            leaf.validity().not_before.timestamp() > now,
            "is not valid yet; check the clock of this machine, or issue it again",
        ),
        (
            !named,
            "names no host; issue it with subjectAltName=DNS:HOST, because clients ignore the common name",
        ),
        (
            leaf.is_ca(),
            "is a CA certificate, as `openssl req -x509` makes them; issue one with basicConstraints=CA:FALSE",
        ),
    ]
    .into_iter()
    .filter_map(|(holds, doubt)| holds.then_some(doubt))
    .collect()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

    use super::*;

    fn of(change: impl FnOnce(&mut CertificateParams)) -> Vec<&'static str> {
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        doubts(&[certificate.der().clone()])
    }

    #[test]
    fn what_clients_refuse_is_known_at_the_start() {
        assert_eq!(of(|_| {}), Vec::<&str>::new());
        let nameless = of(|params| params.subject_alt_names.clear());
        assert!(nameless[0].starts_with("names no host"), "{nameless:?}");
        let authority = of(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        assert!(
            authority[0].starts_with("is a CA certificate"),
            "{authority:?}"
        );
        let early = of(|params| params.not_before = date_time_ymd(4000, 1, 1));
        assert!(early[0].starts_with("is not valid yet"), "{early:?}");
    }
}
