//! Ed25519 keys in PEM files, as OpenSSL writes them: private ones that sign, public ones that are
//! trusted (RFC 8410).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::{
    error::Unspecified,
    rand::{SecureRandom as _, SystemRandom},
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, pem::PemObject as _};
use std::fmt;

/// Beginning of a public key in DER; the 32 bytes of the key follow.
const PUBLIC_PREFIX: [u8; 12] = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// Beginning of a private key in DER; the 32 bytes of the seed follow.
const PRIVATE_PREFIX: [u8; 16] =
    *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
const KEY_BYTES: usize = 32;
/// Digits of a key id.
pub(super) const KEY_ID_DIGITS: usize = 16;

/// Keys that sign and verify what a storage holds.
pub struct Keys {
    signer: Option<Ed25519KeyPair>,
    /// With a signer its public key is the first.
    trusted: Vec<PublicKey>,
    accepts_unsigned: bool,
}

struct PublicKey {
    id: String,
    bytes: Vec<u8>,
}

impl PublicKey {
    fn new(bytes: &[u8]) -> Self {
        let mut id = crate::sha256_hex(bytes);
        id.truncate(KEY_ID_DIGITS);
        Self {
            id,
            bytes: bytes.to_vec(),
        }
    }
}

/// Why a file of keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// Not PEM, or not a key that signs.
    #[error("it has no Ed25519 private key in PEM, which `digits key create` makes: {0}")]
    Private(String),
    /// Not PEM.
    #[error("it cannot be read as public keys in PEM: {0}")]
    Public(String),
    /// A key of another algorithm.
    #[error("its public key number {0} is not an Ed25519 key")]
    Algorithm(usize),
    /// No public key at all.
    #[error("it has no public key in PEM, which `digits key create` prints")]
    Empty,
}

impl Keys {
    /// Keys that verify: one or more public keys in PEM, one after the other.
    ///
    /// # Errors
    /// [`InvalidKeys`].
    pub fn trusting(pem: &[u8]) -> Result<Self, InvalidKeys> {
        let mut trusted = Vec::new();
        for (index, found) in SubjectPublicKeyInfoDer::pem_slice_iter(pem).enumerate() {
            let key = found.map_err(|error| InvalidKeys::Public(error.to_string()))?;
            let bytes = key.strip_prefix(&PUBLIC_PREFIX);
            let bytes = bytes.filter(|bytes| bytes.len() == KEY_BYTES);
            let bytes = bytes.ok_or(InvalidKeys::Algorithm(index + 1))?;
            trusted.push(PublicKey::new(bytes));
        }
        if trusted.is_empty() {
            return Err(InvalidKeys::Empty);
        }
        Ok(Self {
            signer: None,
            trusted,
            accepts_unsigned: false,
        })
    }

    /// A key that signs: a private key in PEM (PKCS#8). What it signed is trusted.
    ///
    /// # Errors
    /// [`InvalidKeys::Private`].
    pub fn signing(pem: &[u8]) -> Result<Self, InvalidKeys> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem)
            .map_err(|error| InvalidKeys::Private(error.to_string()))?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der())
            .map_err(|error| InvalidKeys::Private(error.to_string()))?;
        Ok(Self {
            trusted: vec![PublicKey::new(pair.public_key().as_ref())],
            signer: Some(pair),
            accepts_unsigned: false,
        })
    }

    /// Makes a private key, as PEM for [`signing`](Self::signing).
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn generate() -> Result<String, Unspecified> {
        let mut seed = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut seed)?;
        Ok(pem("PRIVATE KEY", &[&PRIVATE_PREFIX[..], &seed].concat()))
    }

    /// Trusts the keys of `other`, too.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.trusted.extend(other.trusted);
        self
    }

    /// Accepts files without a signature, too, for an operator who has checked them. A signature
    /// that is there must still be one of a trusted key.
    #[must_use]
    pub fn or_unsigned(mut self) -> Self {
        self.accepts_unsigned = true;
        self
    }

    /// The ids of all trusted keys.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.trusted.iter().map(|key| key.id.as_str())
    }

    /// The trusted keys in PEM.
    pub fn public_pem(&self) -> impl Iterator<Item = String> {
        let der = |key: &PublicKey| [&PUBLIC_PREFIX[..], &key.bytes].concat();
        self.trusted
            .iter()
            .map(move |key| pem("PUBLIC KEY", &der(key)))
    }

    pub(super) fn accepts_unsigned(&self) -> bool {
        self.accepts_unsigned
    }

    /// Id of the key that signs.
    pub(super) fn signer_id(&self) -> Option<&str> {
        let first = self.signer.as_ref().and(self.trusted.first());
        first.map(|key| key.id.as_str())
    }

    /// Id of the key that signs, and its signature of `message`.
    pub(super) fn signature(&self, message: &[u8]) -> Option<(&str, Vec<u8>)> {
        let signature = self.signer.as_ref()?.sign(message);
        Some((self.signer_id()?, signature.as_ref().to_vec()))
    }

    /// Whether the trusted key of this id has signed `message`; `None` when there is none.
    pub(super) fn matches(&self, id: &str, message: &[u8], signature: &[u8]) -> Option<bool> {
        let key = self.trusted.iter().find(|key| key.id == id)?;
        let key = UnparsedPublicKey::new(&ED25519, &key.bytes);
        Some(key.verify(message, signature).is_ok())
    }
}

impl fmt::Debug for Keys {
    /// Without the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.ids().collect();
        f.debug_tuple("Keys").field(&ids).finish()
    }
}

/// Keys of this size fit into one line.
fn pem(kind: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
}
