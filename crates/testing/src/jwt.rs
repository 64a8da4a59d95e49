//! An issuer of JWTs for tests: real RSA and ECDSA keys, and tokens as Kubernetes makes them for
//! service accounts.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

/// Made for tests by `openssl genpkey -algorithm RSA`.
const RSA: &str = include_str!("jwt/rsa.pem");

/// A key of the issuer.
pub struct SigningKey {
    /// Its id.
    pub id: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
}

impl SigningKey {
    /// An RSA key; always the same one, since making one takes seconds.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn rsa(id: &'static str) -> Self {
        let lines = RSA.lines().filter(|line| !line.starts_with('-'));
        let der = STANDARD.decode(lines.collect::<String>()).expect("PEM");
        let pair = Pair::Rsa(RsaKeyPair::from_pkcs8(&der).expect("a key"));
        Self { id, pair }
    }

    /// A new ECDSA key on P-256.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[must_use]
    pub fn ecdsa(id: &'static str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &random).expect("a key");
        let pair = Pair::Ecdsa(pair);
        Self { id, pair }
    }

    /// The name of its algorithm.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ecdsa(_) => "ES256",
        }
    }

    /// Its public key as a JSON Web Key, as Kubernetes publishes it.
    #[must_use]
    pub fn public(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut key = json!({"use": "sig", "kid": self.id, "alg": self.algorithm()});
        let members = match &self.pair {
            Pair::Rsa(pair) => {
                let PublicKeyComponents { n, e } =
                    PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": encode(&n), "e": encode(&e)})
            }
            Pair::Ecdsa(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
            }
        };
        for (name, value) in members.as_object().into_iter().flatten() {
            key[name] = value.clone();
        }
        key
    }

    /// A token with these claims.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm(), "kid": self.id});
        self.sign_under(&header, claims)
    }

    /// A token with this header, which may be wrong.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[must_use]
    pub fn sign_under(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let (message, random) = (signed.as_bytes(), SystemRandom::new());
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signing = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signing.expect("signed");
                signature
            }
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&random, message).expect("signed");
                signature.as_ref().to_vec()
            }
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Header and claims, without a signature.
#[must_use]
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

/// The JSON Web Key Set of `keys`.
#[must_use]
pub fn key_set(keys: &[&SigningKey]) -> String {
    let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
    json!({ "keys": keys }).to_string()
}

/// Claims of the projected token of a service account, as Kubernetes 1.30 writes them, valid from
/// `begins` for an hour.
#[must_use]
pub fn service_account(issuer: &str, audience: &str, account: &str, begins: u64) -> Value {
    let uid = "0f5c9c8e-54a3-4f44-8c63-4ed0b1f0a2c7";
    json!({
        "aud": [audience],
        "exp": begins + 3600,
        "iat": begins,
        "iss": issuer,
        "jti": "77cf2a4e-5d4a-4a6b-9d8b-0b5b3c6e3f0e",
        "kubernetes.io": {
            "namespace": "digits",
            "node": {"name": "node-1", "uid": uid},
            "pod": {"name": "ci-7d9c", "uid": uid},
            "serviceaccount": {"name": account, "uid": uid},
            "warnafter": begins + 3607,
        },
        "nbf": begins,
        "sub": format!("system:serviceaccount:digits:{account}"),
    })
}
