//! Signs manifests and serving records with Ed25519 (RFC 8032), and verifies them.
//!
//! The signature is the last member of the file's JSON object. It covers every byte of the file as
//! it is without that member, after a prefix that names the kind of the file, and for a serving
//! record the model: a signature of one kind or model is invalid for another.
//! `docs/signing.md` specifies the form, with test vectors.

mod keys;

pub use keys::{InvalidKeys, Keys};

use crate::id::ModelName;
use keys::KEY_ID_DIGITS;

/// Digits of a signature.
const SIGNATURE_DIGITS: usize = 128;
/// End of a file without a signature.
const END: &str = "\n}";

/// What a file is, so that a signature of one kind is none of another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    Manifest,
    /// Of the log of this model, which its file does not name.
    ServingRecord(&'a ModelName),
}

impl Kind<'_> {
    /// The bytes that are signed.
    fn message(self, unsigned: &[u8]) -> Vec<u8> {
        match self {
            Self::Manifest => [&b"digits manifest 1\0"[..], unsigned].concat(),
            Self::ServingRecord(model) => {
                let model = model.as_str().as_bytes();
                [&b"digits serving record 1\0"[..], model, b"\0", unsigned].concat()
            }
        }
    }
}

/// Why a file is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// Without a signature.
    #[error("it is not signed")]
    Unsigned,
    /// Signed with another key.
    #[error("it is signed with the key {0}, which is not among the trusted keys")]
    Foreign(String),
    /// Not what was signed.
    #[error(
        "its signature with the key {0} does not match: it was changed after it was signed, or is of another model"
    )]
    Mismatch(String),
}

impl Keys {
    /// `text`, a JSON object in the pretty form, with a signature if there is a key that signs.
    pub(crate) fn sign(&self, kind: Kind<'_>, mut text: Vec<u8>) -> Vec<u8> {
        let Some((key_id, signature)) = self.signature(&kind.message(&text)) else {
            return text;
        };
        debug_assert!(text.ends_with(END.as_bytes()));
        text.truncate(text.len() - END.len());
        text.extend(member(key_id, &hex::encode(signature)).into_bytes());
        text
    }

    /// Whether the signature of these bytes names the key that signs.
    pub(crate) fn is_signer_of(&self, bytes: &[u8]) -> bool {
        let signed = Signed::split(bytes);
        signed.is_some_and(|signed| self.signer_id() == Some(&signed.key_id))
    }

    /// Checks that a trusted key has signed these bytes as they are.
    pub(crate) fn verify(&self, kind: Kind<'_>, bytes: &[u8]) -> Result<(), Untrusted> {
        let Some(signed) = Signed::split(bytes) else {
            return match self.accepts_unsigned() {
                true => Ok(()),
                false => Err(Untrusted::Unsigned),
            };
        };
        let message = kind.message(&signed.unsigned);
        match self.matches(&signed.key_id, &message, &signed.signature) {
            None => Err(Untrusted::Foreign(signed.key_id)),
            Some(true) => Ok(()),
            Some(false) => Err(Untrusted::Mismatch(signed.key_id)),
        }
    }
}

/// Whether a file has a signature, of whatever key.
pub(crate) fn is_signed(bytes: &[u8]) -> bool {
    Signed::split(bytes).is_some()
}

/// The member with the signature, and the end of the object.
fn member(key_id: &str, signature: &str) -> String {
    format!(
        ",\n  \"signature\": {{\n    \"key_id\": \"{key_id}\",\n    \"ed25519\": \"{signature}\"\n  }}{END}"
    )
}

/// A signed file, taken apart.
struct Signed {
    unsigned: Vec<u8>,
    key_id: String,
    signature: Vec<u8>,
}

impl Signed {
    /// `None` unless the file ends exactly as [`member`] writes it.
    fn split(bytes: &[u8]) -> Option<Self> {
        let length = member(&"0".repeat(KEY_ID_DIGITS), &"0".repeat(SIGNATURE_DIGITS)).len();
        let (before, end) = bytes.split_at_checked(bytes.len().checked_sub(length)?)?;
        let end = std::str::from_utf8(end).ok()?;
        // "signature", "key_id", its value, "ed25519", its value.
        let mut quoted = end.split('"').skip(1).step_by(2);
        let key_id = quoted.nth(2)?;
        let signature = hex::decode(quoted.nth(1)?).ok()?;
        if member(key_id, &hex::encode(&signature)) != end {
            return None;
        }
        Some(Self {
            unsigned: [before, END.as_bytes()].concat(),
            key_id: key_id.to_owned(),
            signature,
        })
    }
}

#[cfg(test)]
mod tests;
