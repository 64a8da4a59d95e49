//! The public keys of an issuer, from a JSON Web Key Set (RFC 7517, section 5).

use std::collections::HashMap;

use serde::Deserialize;

use super::key::{Jwk, PublicKey};

/// Most keys of a set.
const MAX_KEYS: usize = 100;

/// The keys of an issuer, by their ids.
#[derive(Debug, Default)]
pub(in super::super) struct KeySet(HashMap<String, PublicKey>);

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Parses a JSON Web Key Set. Keys that cannot verify signatures are left out; of several with
    /// one id the first one counts.
    ///
    /// # Errors
    /// When no key is left; the end of a sentence.
    pub(in super::super) fn parse(json: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(json)
            .map_err(|_| "is not a JSON Web Key Set, {\"keys\": […]}".to_owned())?;
        if document.keys.len() > MAX_KEYS {
            let count = document.keys.len();
            return Err(format!("has {count} keys; the limit is {MAX_KEYS}"));
        }
        let mut keys = HashMap::new();
        for value in document.keys {
            let jwk = serde_json::from_value::<Jwk>(value).ok();
            if let Some((jwk, key)) = jwk.and_then(|jwk| PublicKey::of(&jwk).map(|key| (jwk, key)))
            {
                keys.entry(jwk.kid.unwrap_or_default()).or_insert(key);
            }
        }
        if keys.is_empty() {
            return Err(
                "has no key for signatures: use RSA with 2048 bits, ECDSA with P-256 or P-384, or Ed25519"
                    .to_owned(),
            );
        }
        Ok(Self(keys))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key with this id. A token without an id is by the only key, where there is one only.
    pub(super) fn get(&self, id: Option<&str>) -> Option<&PublicKey> {
        match id {
            Some(id) => self.0.get(id),
            None if self.0.len() == 1 => self.0.values().next(),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_that_cannot_verify_are_left_out() {
        let x = "A".repeat(43);
        let good = json!({"kid": "a", "kty": "OKP", "crv": "Ed25519", "x": x});
        let hmac = json!({"kid": "b", "kty": "oct", "k": "AAAA"});
        let set = json!({"keys": [hmac, 7, good]}).to_string();
        let set = KeySet::parse(set.as_bytes()).expect("one key");
        assert!(set.get(Some("a")).is_some() && set.get(None).is_some());
        assert!(set.get(Some("b")).is_none());
        for (text, part) in [
            (json!({"keys": [hmac]}).to_string(), "no key for signatures"),
            (json!({"keys": []}).to_string(), "no key for signatures"),
            (good.to_string(), "not a JSON Web Key Set"),
            (json!({"keys": vec![good; 101]}).to_string(), "101 keys"),
        ] {
            let error = KeySet::parse(text.as_bytes()).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
    }
}
