//! Tests of signatures and of the files of keys.

use super::*;

/// The first test key of RFC 8032.
const PRIVATE: &[u8] = include_bytes!("../../tests/golden/ed25519-private.pem");
const PUBLIC: &[u8] = include_bytes!("../../tests/golden/ed25519-public.pem");
const OTHER: &[u8] = b"-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAzavyT3QFkmMagMhfLEzPYkZqf463dZytQx4l7rPadYY=
-----END PUBLIC KEY-----
";
const UNSIGNED: &str = "{\n  \"format\": 1,\n  \"sequence\": 7\n}";
/// Of `UNSIGNED` as a serving record, made with OpenSSL.
const SIGNED: &str = r#"{
  "format": 1,
  "sequence": 7,
  "signature": {
    "key_id": "21fe31dfa154a261",
    "ed25519": "cc7d4e5865538f95594c6f618a5e2f065cfa88b529e5cdb5c09cded28079dbbb08d35f33315d1727db575cdd51f370ebe755730a049e77d57faed37ab44d0303"
  }
}"#;
/// The same as a manifest.
const MANIFEST_SIGNATURE: &str = "9199ba10e53dffad1a52340c09e939ffe412f2eb3cf1a23a458a60b5f827aeed6f398d31b325893c07f0a98529c7cb42c2bf5dbc4dffc7707edbe78cefa17d07";

#[test]
fn signatures_are_those_of_the_test_vectors() {
    let model = ModelName::default();
    let signing = Keys::signing(PRIVATE).expect("a private key");
    let sign = |kind| {
        let signed = signing.sign(kind, UNSIGNED.as_bytes().to_vec());
        String::from_utf8(signed).expect("text")
    };
    assert_eq!(sign(Kind::ServingRecord(&model)), SIGNED);
    assert!(sign(Kind::Manifest).contains(MANIFEST_SIGNATURE));
    let trusting = Keys::trusting(PUBLIC).expect("a public key");
    for keys in [&signing, &trusting] {
        let verdict = |kind| keys.verify(kind, SIGNED.as_bytes());
        assert_eq!(verdict(Kind::ServingRecord(&model)), Ok(()));
        let wrong = Untrusted::Mismatch("21fe31dfa154a261".to_owned());
        assert_eq!(
            verdict(Kind::Manifest),
            Err(wrong),
            "the kind is signed, too"
        );
    }
    // Without a private key nothing is signed.
    let text = UNSIGNED.as_bytes().to_vec();
    assert_eq!(trusting.sign(Kind::Manifest, text.clone()), text);
}

#[test]
fn the_golden_files_are_signed_as_openssl_signs_them() {
    let model = ModelName::default();
    let signing = Keys::signing(PRIVATE).expect("a private key");
    for (kind, unsigned, signed) in [
        (
            Kind::ServingRecord(&model),
            include_str!("../../tests/golden/serving-record.json"),
            include_str!("../../tests/golden/signed-serving-record.json"),
        ),
        (
            Kind::Manifest,
            include_str!("../../tests/golden/manifest.json"),
            include_str!("../../tests/golden/signed-manifest.json"),
        ),
    ] {
        let written = signing.sign(kind, unsigned.trim_end().as_bytes().to_vec());
        assert_eq!(String::from_utf8_lossy(&written), signed);
    }
}

#[test]
fn no_bit_of_a_signed_file_can_change() {
    let model = ModelName::default();
    let keys = Keys::trusting(PUBLIC).expect("a public key");
    for bit in 0..SIGNED.len() * 8 {
        let mut flipped = SIGNED.as_bytes().to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(
            keys.verify(Kind::ServingRecord(&model), &flipped).is_err(),
            "{bit}"
        );
    }
    for cut in 0..SIGNED.len() {
        let cut = &SIGNED.as_bytes()[..cut];
        assert_eq!(
            keys.verify(Kind::ServingRecord(&model), cut),
            Err(Untrusted::Unsigned)
        );
    }
    let unsigned = keys.verify(Kind::ServingRecord(&model), UNSIGNED.as_bytes());
    assert_eq!(unsigned, Err(Untrusted::Unsigned));
}

#[test]
fn a_new_key_is_trusted_beside_the_old_one() {
    let model = ModelName::default();
    let other = Keys::trusting(OTHER).expect("a public key");
    let foreign = other.verify(Kind::ServingRecord(&model), SIGNED.as_bytes());
    let expected = Untrusted::Foreign("21fe31dfa154a261".to_owned());
    assert_eq!(foreign, Err(expected));
    let both = Keys::trusting(&[OTHER, PUBLIC].concat()).expect("two keys");
    assert_eq!(both.ids().count(), 2);
    assert_eq!(
        both.verify(Kind::ServingRecord(&model), SIGNED.as_bytes()),
        Ok(())
    );
}

#[test]
fn unsigned_files_are_accepted_on_request_and_foreign_ones_never() {
    let model = ModelName::default();
    let keys = Keys::trusting(OTHER).expect("a public key").or_unsigned();
    let verdict = |text: &str| keys.verify(Kind::ServingRecord(&model), text.as_bytes());
    assert_eq!(verdict(UNSIGNED), Ok(()));
    let foreign = Untrusted::Foreign("21fe31dfa154a261".to_owned());
    assert_eq!(verdict(SIGNED), Err(foreign));
}

#[test]
fn a_generated_key_signs_what_its_public_key_trusts() {
    let pem = Keys::generate().expect("random numbers");
    assert_ne!(pem, Keys::generate().expect("random numbers"));
    let signing = Keys::signing(pem.as_bytes()).expect("a private key");
    let public: String = signing.public_pem().collect();
    let trusting = Keys::trusting(public.as_bytes()).expect("a public key");
    assert!(signing.ids().eq(trusting.ids()));
    let signed = signing.sign(Kind::Manifest, UNSIGNED.as_bytes().to_vec());
    assert_eq!(trusting.verify(Kind::Manifest, &signed), Ok(()));
    let known = Keys::signing(PRIVATE).expect("a private key");
    assert_eq!(known.public_pem().collect::<String>().as_bytes(), PUBLIC);
}

#[test]
fn files_without_keys_are_refused() {
    assert_eq!(Keys::trusting(b"").err(), Some(InvalidKeys::Empty));
    assert_eq!(Keys::trusting(PRIVATE).err(), Some(InvalidKeys::Empty));
    assert!(matches!(
        Keys::signing(PUBLIC),
        Err(InvalidKeys::Private(_))
    ));
    let text = String::from_utf8_lossy(PUBLIC).replace("MCowBQYDK2Vw", "MCowBQYDK2Vx");
    let algorithm = Keys::trusting(text.as_bytes()).err();
    assert_eq!(algorithm, Some(InvalidKeys::Algorithm(1)));
    let broken = Keys::trusting(b"-----BEGIN PUBLIC KEY-----\n?\n-----END PUBLIC KEY-----\n");
    assert!(matches!(broken, Err(InvalidKeys::Public(_))));
    let shown = format!("{:?}", Keys::signing(PRIVATE).expect("a private key"));
    assert_eq!(shown, "Keys([\"21fe31dfa154a261\"])");
}
