//! The names of a client in its certificate, which the handshake has verified.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

/// Kinds of names, as they begin in the role file, in OpenSSL's notation.
pub(super) const KINDS: [&str; 3] = ["DNS:", "URI:", "email:"];

/// Longest name that counts, in characters: it must fit into a serving record.
const MAX_NAME_CHARS: usize = 200;

/// The names of a client, each with its kind, such as `DNS:loader.example`.
#[derive(Debug)]
pub(crate) struct ClientCertificate(Vec<Arc<str>>);

impl ClientCertificate {
    /// The subject alternative names of the first certificate of `chain`.
    pub(crate) fn of(chain: &[CertificateDer<'_>]) -> Self {
        let parsed = chain
            .first()
            .and_then(|leaf| x509_parser::parse_x509_certificate(leaf).ok());
        let names = parsed
            .as_ref()
            .map(|(_, leaf)| leaf.subject_alternative_name());
        let names = match &names {
            Some(Ok(Some(names))) => names.value.general_names.as_slice(),
            _ => &[],
        };
        Self(names.iter().filter_map(name).collect())
    }

    #[cfg(test)]
    pub(super) fn named(names: &[&str]) -> Self {
        Self(names.iter().map(|&name| name.into()).collect())
    }

    pub(super) fn names(&self) -> &[Arc<str>] {
        &self.0
    }
}

fn name(name: &GeneralName<'_>) -> Option<Arc<str>> {
    let [dns, uri, email] = KINDS;
    let name = match name {
        GeneralName::DNSName(name) => format!("{dns}{}", name.to_ascii_lowercase()),
        GeneralName::URI(name) => format!("{uri}{name}"),
        GeneralName::RFC822Name(name) => format!("{email}{name}"),
        _ => return None,
    };
    let is_printable = !name.chars().any(char::is_control);
    (is_printable && name.chars().count() <= MAX_NAME_CHARS).then(|| name.into())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn names_are_those_of_hosts_uris_and_mailboxes() {
        let mut params = CertificateParams::new(["Loader.Example".to_owned()]).expect("a name");
        let uri = "spiffe://cluster.local/ns/Digits/sa/ci";
        params.subject_alt_names.extend([
            SanType::URI(uri.try_into().expect("ASCII")),
            SanType::Rfc822Name("Ann@example.com".try_into().expect("ASCII")),
            SanType::IpAddress([127, 0, 0, 1].into()),
            SanType::DnsName("a\nb".try_into().expect("ASCII")),
            SanType::DnsName("n".repeat(197).try_into().expect("ASCII")),
        ]);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        let found = ClientCertificate::of(&[certificate.der().clone()]);
        let names: Vec<&str> = found.names().iter().map(|name| &**name).collect();
        let uri = format!("URI:{uri}");
        assert_eq!(names, ["DNS:loader.example", &uri, "email:Ann@example.com"]);
        assert!(ClientCertificate::of(&[]).names().is_empty());
    }
}
