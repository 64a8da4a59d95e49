use digits_testing::jwt::{SigningKey, key_set, service_account};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::super::super::files::Methods;
use super::*;

const NOW: u64 = 1_800_000_000;

fn verifier(key: &SigningKey, rules: &str) -> Verifier {
    let methods = Methods {
        certificates: false,
        jwts: true,
    };
    let rules = RoleRules::parse(rules.as_bytes(), methods).expect("rules");
    let keys = KeySet::parse(key_set(&[key]).as_bytes()).expect("keys");
    let expected = Expected {
        issuer: "i".to_owned(),
        audience: "digits".to_owned(),
    };
    Verifier::new(expected, Arc::new(keys), Arc::new(rules))
}

fn client(verifier: &Verifier, token: &str, now: u64) -> Result<Identity, InvalidJwt> {
    verifier.client_of(token.as_bytes(), &Sha256::digest(token).into(), now)
}

#[test]
fn a_verified_token_is_remembered_until_it_expires() {
    let key = SigningKey::ecdsa("a");
    let mut verifier = verifier(&key, "watch,train sub=system:serviceaccount:digits:ci");
    let token = key.sign(&service_account("i", "digits", "ci", NOW));
    let known = client(&verifier, &token, NOW).expect("valid");
    assert_eq!(&*known.name, "jwt:system:serviceaccount:digits:ci");
    assert_eq!(known.roles.to_string(), "watch,train");

    // Without the key it would be refused, and so is another token.
    verifier.keys = Arc::default();
    assert_eq!(client(&verifier, &token, NOW + 3659), Ok(known));
    assert_eq!(
        client(&verifier, &token, NOW + 3660),
        Err(InvalidJwt::Expired)
    );
    let other = key.sign(&service_account("i", "digits", "other", NOW));
    assert_eq!(client(&verifier, &other, NOW), Err(InvalidJwt::UnknownKey));
}

#[test]
fn a_client_that_no_rule_names_has_no_role() {
    let key = SigningKey::ecdsa("a");
    let verifier = verifier(&key, "watch sub=somebody");
    let token = key.sign(&service_account("i", "digits", "ci", NOW));
    assert_eq!(
        client(&verifier, &token, NOW)
            .expect("valid")
            .roles
            .to_string(),
        "none"
    );
}

#[test]
fn the_number_of_remembered_tokens_is_bounded() {
    let key = SigningKey::ecdsa("a");
    let verifier = verifier(&key, "watch sub=*");
    let token = |number: u64| {
        let mut claims = service_account("i", "digits", "ci", NOW);
        claims["exp"] = json!(NOW + number);
        key.sign(&claims)
    };
    let first = token(1);
    assert!(client(&verifier, &first, NOW).is_ok());
    let known = client(&verifier, &first, NOW).expect("known");
    for number in 0..=MAX_VERIFIED as u64 {
        let digest: Digest = Sha256::digest(number.to_le_bytes()).into();
        verifier.remember(&digest, known.clone(), NOW + 100 + number, NOW);
    }
    let verified = verifier.verified.read().expect("no panic");
    assert_eq!(verified.len(), MAX_VERIFIED);
    let first: Digest = Sha256::digest(&first).into();
    assert!(
        !verified.contains_key(&first),
        "the first to expire goes first"
    );
    drop(verified);
    // What has expired goes first of all.
    verifier.remember(&[0; 32], known, u64::MAX, NOW + 100 + MAX_VERIFIED as u64);
    assert_eq!(verifier.verified.read().expect("no panic").len(), 1);
}
