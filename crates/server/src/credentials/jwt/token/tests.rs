use digits_testing::jwt::{SigningKey, key_set, service_account, unsigned};
use serde_json::{Value, json};

use super::super::error::InvalidJwt;
use super::*;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const NOW: u64 = 1_800_000_000;

fn claims() -> Value {
    service_account(ISSUER, "digits", "ci", NOW)
}

/// The claims with one of them replaced; with `null`, without it.
fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
        .as_object_mut()
        .expect("an object")
        .retain(|_, value| !value.is_null());
    claims
}

fn verified(token: &str, keys: &[&SigningKey], now: u64) -> Result<String, InvalidJwt> {
    let keys = KeySet::parse(key_set(keys).as_bytes()).expect("keys");
    let expected = Expected {
        issuer: ISSUER.to_owned(),
        audience: "digits".to_owned(),
    };
    verify(token.as_bytes(), &keys, &expected, now).map(|claims| claims.subject)
}

#[test]
fn tokens_of_service_accounts_are_verified_by_rsa_and_ecdsa_keys() {
    let (rsa, ecdsa) = (SigningKey::rsa("a"), SigningKey::ecdsa("b"));
    for key in [&rsa, &ecdsa] {
        let token = key.sign(&claims());
        let subject = "system:serviceaccount:digits:ci".to_owned();
        assert_eq!(verified(&token, &[&rsa, &ecdsa], NOW), Ok(subject));
        let (rest, signature) = token.rsplit_once('.').expect("three parts");
        let turned: String = signature.chars().rev().collect();
        let wrong = format!("{rest}.{turned}");
        assert!(verified(&wrong, &[&rsa, &ecdsa], NOW).is_err(), "{wrong}");
        let other = unsigned(
            &json!({"alg": key.algorithm(), "kid": key.id}),
            &with("sub", json!("root")),
        );
        let wrong = format!("{other}.{signature}");
        assert_eq!(
            verified(&wrong, &[&rsa, &ecdsa], NOW),
            Err(InvalidJwt::Signature)
        );
    }
}

#[test]
fn each_rule_refuses_its_token() {
    use InvalidJwt::{Audience, Claims, Expired, Header, Issuer, Malformed, NotYetValid, Subject};
    let key = SigningKey::ecdsa("a");
    for (claims, expected) in [
        (with("iss", json!("https://other")), Some(Issuer)),
        (with("iss", Value::Null), Some(Claims)),
        (with("aud", json!("digits")), None),
        (with("aud", json!(["a", "digits"])), None),
        (with("aud", json!(["a"])), Some(Audience)),
        (with("aud", json!([])), Some(Audience)),
        (with("aud", json!("digits2")), Some(Audience)),
        (with("aud", json!({"digits": 1})), Some(Audience)),
        (with("aud", Value::Null), Some(Claims)),
        (with("sub", Value::Null), Some(Claims)),
        (with("sub", json!(7)), Some(Claims)),
        (with("sub", json!("")), Some(Subject)),
        (with("sub", json!("a\nb")), Some(Subject)),
        (with("sub", json!("a".repeat(191))), Some(Subject)),
        (with("sub", json!("é".repeat(190))), None),
        (with("exp", Value::Null), Some(Claims)),
        (with("exp", json!("soon")), Some(Claims)),
        (with("exp", json!(NOW - 59)), None),
        (with("exp", json!(NOW - 60)), Some(Expired)),
        (with("exp", json!(-1)), Some(Expired)),
        (with("exp", json!(1e300)), None),
        (with("nbf", Value::Null), Some(Claims)),
        (with("nbf", json!(NOW + 60)), None),
        (with("nbf", json!(NOW as f64 + 60.5)), Some(NotYetValid)),
        (with("iat", Value::Null), None),
    ] {
        let found = verified(&key.sign(&claims), &[&key], NOW).err();
        assert_eq!(found, expected, "{claims}");
    }
    for (header, expected) in [
        (json!({"alg": "ES256", "kid": "a", "typ": "JWT"}), None),
        (json!({"alg": "ES256", "kid": "a", "typ": "at+jwt"}), None),
        (json!({"alg": "ES256"}), None),
        (
            json!({"alg": "ES256", "kid": "a", "typ": "logout+jwt"}),
            Some(Header),
        ),
        (
            json!({"alg": "ES256", "kid": "a", "crit": ["b64"], "b64": false}),
            Some(Header),
        ),
        (
            json!({"alg": "ES256", "kid": "b"}),
            Some(InvalidJwt::UnknownKey),
        ),
        (json!({"kid": "a"}), Some(Malformed)),
    ] {
        let found = verified(&key.sign_under(&header, &claims()), &[&key], NOW).err();
        assert_eq!(found, expected, "{header}");
    }
    for text in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "e30.e30.e30",
        "ä.b.c",
        "e30.e30.e30.e30.e30",
    ] {
        assert_eq!(verified(text, &[&key], NOW), Err(Malformed), "{text}");
    }
    let long = format!("{}{}", key.sign(&claims()), "A".repeat(MAX_BYTES));
    assert_eq!(verified(&long, &[&key], NOW), Err(Malformed));
}

#[test]
fn a_header_cannot_choose_the_algorithm() {
    let (rsa, ecdsa) = (SigningKey::rsa("a"), SigningKey::ecdsa("b"));
    for alg in [
        "none", "None", "", "HS256", "HS512", "RS512", "PS256", "ES256",
    ] {
        let header = json!({"alg": alg, "kid": "a"});
        let token = rsa.sign_under(&header, &claims());
        assert_eq!(
            verified(&token, &[&rsa, &ecdsa], NOW),
            Err(InvalidJwt::Algorithm),
            "{alg}"
        );
        let unsigned = format!("{}.", unsigned(&header, &claims()));
        assert_eq!(
            verified(&unsigned, &[&rsa, &ecdsa], NOW),
            Err(InvalidJwt::Algorithm),
            "{alg}"
        );
    }
    // Another key's signature under this key's id.
    let header = json!({"alg": "RS256", "kid": "a"});
    let token = ecdsa.sign_under(&header, &claims());
    assert_eq!(
        verified(&token, &[&rsa, &ecdsa], NOW),
        Err(InvalidJwt::Signature)
    );
    // Without an id, one of several keys is not guessed.
    let token = rsa.sign_under(&json!({"alg": "RS256"}), &claims());
    assert_eq!(
        verified(&token, &[&rsa, &ecdsa], NOW),
        Err(InvalidJwt::UnknownKey)
    );
    // A symmetric key in the set is no key, whoever signed with it.
    let symmetric = json!({"keys": [{"kty": "oct", "kid": "c", "alg": "HS256", "k": "AAAA"}]});
    assert!(KeySet::parse(symmetric.to_string().as_bytes()).is_err());
}
