//! A public key of an issuer, with the one algorithm that it verifies. So the header of a token
//! cannot choose how the token is verified (RFC 8725, section 3.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;

/// Least length of an RSA modulus, in bytes: 2048 bits.
const MIN_MODULUS_BYTES: usize = 256;

/// An algorithm of JSON Web Signatures (RFC 7518, section 3.1; RFC 8037). There is no HMAC, whose
/// key would have to be secret, and no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    const OF_RSA: [Self; 6] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Whether `name` is the algorithm's. Ed25519 has a second name (RFC 9864).
    fn is_named(self, name: &str) -> bool {
        name == self.name() || self == Self::EdDsa && name == "Ed25519"
    }
}

/// A JSON Web Key (RFC 7517), with the members that public keys need.
#[derive(Deserialize)]
pub(super) struct Jwk {
    pub(super) kid: Option<String>,
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A public key.
#[derive(Debug)]
pub(super) struct PublicKey {
    algorithm: Algorithm,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// As the algorithm encodes it.
    Curve(Vec<u8>),
}

impl PublicKey {
    /// The key of `jwk`; `None` if it is for something else than signatures, or not supported.
    /// Without `alg`, an RSA key is for RS256.
    pub(super) fn of(jwk: &Jwk) -> Option<Self> {
        if jwk.purpose.as_deref().is_some_and(|it| it != "sig") {
            return None;
        }
        let algorithm = algorithm(jwk)?;
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let coordinate = |text, length| bytes(text).filter(|it| it.len() == length);
        let curve = |length| {
            let (x, y) = (coordinate(&jwk.x, length)?, coordinate(&jwk.y, length)?);
            Some(Material::Curve([&[4][..], &x, &y].concat()))
        };
        let material = match algorithm {
            Algorithm::Es256 => curve(32)?,
            Algorithm::Es384 => curve(48)?,
            Algorithm::EdDsa => Material::Curve(coordinate(&jwk.x, 32)?),
            _ => {
                let number = |text| {
                    let bytes = bytes(text)?;
                    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
                    Some(bytes[zeros..].to_vec())
                };
                let modulus = number(&jwk.n).filter(|it| it.len() >= MIN_MODULUS_BYTES)?;
                let exponent = number(&jwk.e)?;
                Material::Rsa { modulus, exponent }
            }
        };
        Some(Self {
            algorithm,
            material,
        })
    }

    /// Whether the key is for the algorithm of this name.
    pub(super) fn is_for(&self, algorithm: &str) -> bool {
        self.algorithm.is_named(algorithm)
    }

    /// Whether `signature` is that of `message` by this key.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.material {
            Material::Rsa { modulus, exponent } => {
                let parameters = match self.algorithm {
                    Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
                    _ => &signature::RSA_PKCS1_2048_8192_SHA256,
                };
                let (n, e) = (modulus, exponent);
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            Material::Curve(point) => {
                let algorithm: &dyn signature::VerificationAlgorithm = match self.algorithm {
                    Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
                    Algorithm::EdDsa => &signature::ED25519,
                    _ => &signature::ECDSA_P256_SHA256_FIXED,
                };
                UnparsedPublicKey::new(algorithm, point).verify(message, signature)
            }
        };
        verified.is_ok()
    }
}

/// The algorithm that a key fixes.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    let alg = jwk.alg.as_deref();
    let of_curve = match (&*jwk.kty, jwk.crv.as_deref()) {
        ("RSA", _) => {
            let alg = alg.unwrap_or("RS256");
            return Algorithm::OF_RSA.into_iter().find(|it| it.is_named(alg));
        }
        ("EC", Some("P-256")) => Algorithm::Es256,
        ("EC", Some("P-384")) => Algorithm::Es384,
        ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
        _ => return None,
    };
    Some(of_curve).filter(|it| alg.is_none_or(|alg| it.is_named(alg)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(jwk: serde_json::Value) -> Option<Algorithm> {
        let jwk: Jwk = serde_json::from_value(jwk).expect("a key");
        PublicKey::of(&jwk).map(|key| key.algorithm)
    }

    #[test]
    fn a_key_fixes_its_algorithm() {
        let (n, x) = ("_".repeat(341) + "w", "A".repeat(43));
        for (members, algorithm) in [
            (
                json!({"kty": "RSA", "n": n, "e": "AQAB"}),
                Some(Algorithm::Rs256),
            ),
            (
                json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "PS384", "use": "sig"}),
                Some(Algorithm::Ps384),
            ),
            (
                json!({"kty": "RSA", "n": n, "e": "AQAB", "use": "enc"}),
                None,
            ),
            (
                json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "HS256"}),
                None,
            ),
            (
                json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "none"}),
                None,
            ),
            (json!({"kty": "RSA", "n": &n[..300], "e": "AQAB"}), None),
            (
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": x}),
                Some(Algorithm::Es256),
            ),
            (
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": x, "alg": "ES384"}),
                None,
            ),
            (json!({"kty": "EC", "crv": "P-521", "x": x, "y": x}), None),
            (json!({"kty": "EC", "crv": "P-256", "x": x}), None),
            (
                json!({"kty": "OKP", "crv": "Ed25519", "x": x}),
                Some(Algorithm::EdDsa),
            ),
            (json!({"kty": "oct", "k": "AAAA", "alg": "HS256"}), None),
        ] {
            assert_eq!(key(members.clone()), algorithm, "{members}");
        }
    }
}
