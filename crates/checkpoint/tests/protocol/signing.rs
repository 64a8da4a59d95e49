//! Signed storages: what no trusted key has signed is neither served nor promoted, and older
//! programs read what is signed.

use super::support::{draft, published};
use digits_checkpoint::{
    Follower, Keys, Storage, StorageError, Untrusted, fetch,
    id::{CheckpointId, ModelName},
    manifest::Manifest,
    publish,
    record::{Role, ServingRecord},
    serving::{
        self, AppendError, Candidate, NotPromoted, Policy, PromotionError, promote,
        promote_published, rollback, sign,
    },
};
use object_store::{ObjectStoreExt as _, memory::InMemory, path::Path};
use std::{sync::Arc, time::Duration};

/// The first test key of RFC 8032.
const PRIVATE: &[u8] = include_bytes!("../golden/ed25519-private.pem");
const PUBLIC: &[u8] = include_bytes!("../golden/ed25519-public.pem");
const OTHER_PRIVATE: &[u8] = b"-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIBRZXJcBZMSF1QV3wuPnX+v0tctoSDJmVSQP0B+JijsC
-----END PRIVATE KEY-----
";

/// One store, as programs with different keys open it.
struct Opened {
    store: Arc<InMemory>,
    /// Without keys, as older programs.
    plain: Storage,
    signing: Storage,
    trusting: Storage,
    /// Signs with a key that `trusting` does not know.
    foreign: Storage,
}

fn opened() -> Opened {
    let store = Arc::new(InMemory::new());
    let plain = Storage::from_store(store.clone(), Path::default());
    let with = |keys| plain.clone().with_keys(keys);
    Opened {
        signing: with(Keys::signing(PRIVATE).unwrap()),
        trusting: with(Keys::trusting(PUBLIC).unwrap()),
        foreign: with(Keys::signing(OTHER_PRIVATE).unwrap()),
        plain,
        store,
    }
}

fn digits() -> ModelName {
    ModelName::default()
}

fn key(sequence: u64) -> Path {
    Path::from(format!("serving/digits/{sequence:020}.json"))
}

async fn bytes(store: &InMemory, key: &Path) -> Vec<u8> {
    let found = store.get(key).await.unwrap().bytes().await;
    found.unwrap().to_vec()
}

async fn put(store: &InMemory, key: &Path, bytes: Vec<u8>) {
    store.put(key, bytes.into()).await.unwrap();
}

/// Serves a checkpoint.
async fn serve(storage: &Storage, expected: u64, checkpoint: CheckpointId) -> u64 {
    let candidate = Candidate {
        checkpoint,
        role: Role::Primary,
        share: None,
    };
    let record = promote(storage, &digits(), expected, candidate, "").await;
    record.unwrap().sequence
}

async fn automatic(storage: &Storage, manifest: &Manifest) -> (u64, Option<NotPromoted>) {
    let decision = promote_published(storage, manifest, Policy::Latest.into(), "job").await;
    let decision = decision.unwrap();
    (decision.sequence, decision.not_promoted)
}

async fn record(storage: &Storage, sequence: u64) -> Result<ServingRecord, StorageError> {
    let found = serving::record(storage, &digits(), sequence).await;
    found.map(|found| found.expect("a record"))
}

/// Why a record is not trusted.
async fn distrust(storage: &Storage, sequence: u64) -> Untrusted {
    match record(storage, sequence).await {
        Err(StorageError::Untrusted { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

async fn loads(storage: &Storage, record: &ServingRecord) -> bool {
    let route = &record.routes[0];
    let promised = route.manifest_sha256.as_deref();
    let fetched = fetch(storage, route.checkpoint, promised).await;
    fetched.is_ok_and(|it| it.verify().is_ok())
}

#[tokio::test]
async fn what_a_trainer_signs_is_trusted_and_read_by_older_programs() {
    let Opened {
        store,
        plain,
        signing,
        trusting,
        ..
    } = opened();
    let manifest = published(&signing, 0).await;
    assert_eq!(automatic(&signing, &manifest).await, (1, None));
    // A repeated publication finds its own manifest.
    let again = draft(manifest.id, 1, 0);
    assert_eq!(publish(&signing, again).await.unwrap(), manifest);
    for storage in [&plain, &trusting] {
        let found = record(storage, 1).await.unwrap();
        assert_eq!(found.primary(), Some(manifest.id));
        assert!(loads(storage, &found).await);
        let read = digits_checkpoint::manifest(storage, manifest.id).await;
        assert_eq!(read.unwrap(), Some(manifest.clone()));
    }
    let manifest = Path::from(format!("checkpoints/{}/manifest.json", manifest.id));
    for key in [key(1), manifest] {
        let value: serde_json::Value = serde_json::from_slice(&bytes(&store, &key).await).unwrap();
        assert_eq!(value["signature"]["key_id"], "21fe31dfa154a261");
    }
}

#[tokio::test(start_paused = true)]
async fn unsigned_and_foreign_records_are_passed_over() {
    let Opened {
        plain,
        signing,
        trusting,
        foreign,
        ..
    } = opened();
    let good = published(&signing, 0).await;
    automatic(&signing, &good).await;
    let mut follower = Follower::new(trusting.clone(), digits());
    assert_eq!(follower.poll().await.unwrap().unwrap().sequence, 1);
    for (expected, intruder, part) in [
        (1, &plain, "it is not signed"),
        (2, &foreign, "not among the trusted keys"),
    ] {
        let own = published(intruder, 0).await;
        serve(intruder, expected, own.id).await;
        let error = follower.poll().await.unwrap_err();
        assert!(matches!(error, StorageError::Untrusted { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(follower.poll().await.unwrap(), None, "once");
    }
    // The trainer continues from the newest record that it trusts.
    let next = published(&signing, 0).await;
    assert_eq!(automatic(&signing, &next).await, (4, None));
    assert_eq!(automatic(&signing, &next).await, (4, None), "once");
    assert_eq!(follower.poll().await.unwrap().unwrap().sequence, 4);

    let back = rollback(&signing, &digits(), 4, 3, "").await;
    let Err(AppendError::Refused(PromotionError::UntrustedRecord { sequence: 3, .. })) = back
    else {
        panic!("{back:?}")
    };
    let back = rollback(&signing, &digits(), 4, 0, "").await.unwrap();
    assert_eq!((back.sequence, back.primary()), (5, Some(good.id)));
}

#[tokio::test(start_paused = true)]
async fn a_signed_record_is_followed_before_a_forged_one() {
    let Opened {
        plain,
        signing,
        trusting,
        store,
        ..
    } = opened();
    let id = published(&signing, 0).await.id;
    serve(&signing, 0, id).await;
    let mut follower = Follower::new(trusting.clone(), digits());
    follower.poll().await.unwrap().unwrap();
    // Both between two polls.
    serve(&signing, 1, id).await;
    serve(&plain, 2, id).await;
    for mut follower in [follower, Follower::new(trusting, digits())] {
        let found = follower.poll().await.unwrap().unwrap();
        assert_eq!((found.sequence, follower.head()), (2, 3));
        let (sequence, error) = follower.take_passed_over().unwrap();
        assert_eq!(sequence, 3);
        assert!(matches!(error, StorageError::Untrusted { .. }), "{error}");
        assert_eq!(follower.poll().await.unwrap(), None, "once");
        assert!(follower.take_passed_over().is_none());

        // An operator deletes the forged record, and a signed one gets its number.
        let forged = bytes(&store, &key(3)).await;
        store.delete(&key(3)).await.unwrap();
        serve(&signing, 2, id).await;
        tokio::time::advance(Duration::from_secs(6)).await;
        let found = follower.poll().await.unwrap().unwrap();
        assert_eq!(found.sequence, 3);
        put(&store, &key(3), forged).await;
    }
}

#[tokio::test]
async fn a_hold_under_forged_records_is_respected() {
    let Opened { plain, signing, .. } = opened();
    let id = published(&signing, 0).await.id;
    serve(&signing, 0, id).await;
    serving::release(&plain, &digits(), 1, "").await.unwrap();
    let next = published(&signing, 0).await;
    let held = (0, Some(NotPromoted::Hold));
    assert_eq!(automatic(&signing, &next).await, held);
}

#[tokio::test]
async fn an_unsigned_checkpoint_is_promoted_on_request_alone() {
    let Opened { plain, signing, .. } = opened();
    let unsigned = published(&plain, 0).await;
    let candidate = Candidate {
        checkpoint: unsigned.id,
        role: Role::Primary,
        share: None,
    };
    let refused = promote(&signing, &digits(), 0, candidate, "").await;
    let Err(AppendError::Refused(PromotionError::Untrusted { id, .. })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(id, unsigned.id);
    let policy = Policy::Latest.into();
    let automatic = promote_published(&signing, &unsigned, policy, "").await;
    assert!(matches!(automatic, Err(StorageError::Untrusted { .. })));
    let vouching = Keys::signing(PRIVATE).unwrap().or_unsigned();
    let vouching = plain.with_keys(vouching);
    assert_eq!(serve(&vouching, 0, unsigned.id).await, 1);
    assert!(loads(&signing, &record(&signing, 1).await.unwrap()).await);
}

#[tokio::test]
async fn a_storage_is_signed_once_as_it_is() {
    let Opened {
        plain,
        signing,
        trusting,
        store,
        ..
    } = opened();
    let nothing = sign(&signing, &digits(), "op").await;
    assert!(matches!(
        nothing,
        Err(AppendError::Refused(PromotionError::NothingServes))
    ));
    let old = published(&plain, 0).await;
    assert_eq!(automatic(&plain, &old).await, (1, None));
    assert_eq!(distrust(&trusting, 1).await, Untrusted::Unsigned);
    let early = published(&signing, 0).await;
    let early = promote_published(&signing, &early, Policy::Latest.into(), "").await;
    assert!(matches!(early, Err(StorageError::Untrusted { .. })));

    let signed = sign(&signing, &digits(), "op").await.unwrap().unwrap();
    assert_eq!(
        (signed.sequence, signed.primary(), signed.hold),
        (2, Some(old.id), false)
    );
    let found = record(&trusting, 2).await.unwrap();
    assert_eq!(found, signed);
    assert!(loads(&trusting, &found).await, "the digest covers it");
    assert_eq!(sign(&signing, &digits(), "op").await.unwrap(), None);

    // From then on the manifest cannot change, and the trainer can publish again.
    let new = published(&signing, 0).await;
    assert_eq!(automatic(&signing, &new).await, (3, None));
    rollback(&signing, &digits(), 3, 2, "").await.unwrap();
    let manifest = Path::from(format!("checkpoints/{}/manifest.json", old.id));
    let changed = [&bytes(&store, &manifest).await[..], b"\n"].concat();
    put(&store, &manifest, changed).await;
    assert!(!loads(&trusting, &found).await);

    // What somebody without the key wrote since is not signed by the way.
    serve(&plain, 4, new.id).await;
    let refused = sign(&signing, &digits(), "op").await;
    let Err(AppendError::Refused(PromotionError::SignedBefore { signed, newest })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((signed, newest), (4, 5));
}

#[tokio::test(start_paused = true)]
async fn a_trusting_follower_goes_to_no_lower_number() {
    let Opened {
        signing,
        trusting,
        store,
        ..
    } = opened();
    let id = published(&signing, 0).await.id;
    for expected in 0..3 {
        serve(&signing, expected, id).await;
    }
    let mut follower = Follower::new(trusting, digits());
    assert_eq!(follower.poll().await.unwrap().unwrap().sequence, 3);
    store.delete(&key(3)).await.unwrap();
    for _ in 0..4 {
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(follower.poll().await.unwrap(), None);
        assert_eq!(follower.faults().iter().count(), 1);
    }
}

#[tokio::test]
async fn no_bit_of_a_signed_record_can_change() {
    let Opened {
        signing,
        trusting,
        store,
        ..
    } = opened();
    let id = published(&signing, 0).await.id;
    serve(&signing, 0, id).await;
    let original = bytes(&store, &key(1)).await;
    for bit in 0..original.len() * 8 {
        let mut flipped = original.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        put(&store, &key(1), flipped).await;
        distrust(&trusting, 1).await;
    }
}

#[tokio::test]
async fn records_from_elsewhere_are_not_trusted() {
    let Opened {
        signing,
        trusting,
        store,
        ..
    } = opened();
    let id = published(&signing, 0).await.id;
    serve(&signing, 0, id).await;
    let original = bytes(&store, &key(1)).await;
    let mismatch = Untrusted::Mismatch("21fe31dfa154a261".to_owned());

    // Of another model.
    let other: ModelName = "other".parse().unwrap();
    let elsewhere = Path::from("serving/other/00000000000000000001.json");
    put(&store, &elsewhere, original.clone()).await;
    let found = serving::record(&trusting, &other, 1).await;
    let Err(StorageError::Untrusted { source, .. }) = found else {
        panic!("{found:?}")
    };
    assert_eq!(source, mismatch);

    // A replay under the next number: the signature is right, and its number is not.
    put(&store, &key(2), original.clone()).await;
    let replayed = record(&trusting, 2).await;
    assert!(matches!(replayed, Err(StorageError::Unreadable { .. })));

    // A replay whose number was changed.
    let text = String::from_utf8(original).unwrap();
    let renumbered = text.replace("\"sequence\": 1", "\"sequence\": 2");
    assert_ne!(renumbered, text);
    put(&store, &key(2), renumbered.into_bytes()).await;
    assert_eq!(distrust(&trusting, 2).await, mismatch);

    // The signature of a manifest.
    let manifest = Path::from(format!("checkpoints/{id}/manifest.json"));
    let manifest = String::from_utf8(bytes(&store, &manifest).await).unwrap();
    let (start, end) = (
        text.rfind(",\n  \"signature\""),
        manifest.rfind(",\n  \"signature\""),
    );
    let spliced = [&text[..start.unwrap()], &manifest[end.unwrap()..]].concat();
    put(&store, &key(2), spliced.into_bytes()).await;
    assert_eq!(distrust(&trusting, 2).await, mismatch);

    // Without its signature.
    let stripped = [&text[..start.unwrap()], "\n}"].concat();
    put(&store, &key(2), stripped.into_bytes()).await;
    assert_eq!(distrust(&trusting, 2).await, Untrusted::Unsigned);

    // Of another storage, with another key.
    let far = opened();
    let id = published(&far.foreign, 0).await.id;
    serve(&far.foreign, 0, id).await;
    serve(&far.foreign, 1, id).await;
    put(&store, &key(2), bytes(&far.store, &key(2)).await).await;
    let found = distrust(&trusting, 2).await;
    assert!(matches!(found, Untrusted::Foreign(_)), "{found}");
}

#[tokio::test]
async fn a_key_is_replaced_by_another() {
    let Opened {
        plain,
        signing,
        trusting,
        foreign: only_new,
        ..
    } = opened();
    let with = |keys| plain.clone().with_keys(keys);
    let new_keys = || Keys::signing(OTHER_PRIVATE).unwrap();
    let public: String = new_keys().public_pem().collect();
    let old_and_new = [PUBLIC, public.as_bytes()].concat();
    let old = published(&signing, 0).await;
    automatic(&signing, &old).await;

    // Readers trust both; then the trainer signs with the new key, and trusts the old one.
    let both = with(Keys::trusting(&old_and_new).unwrap());
    let rotated = with(new_keys().and(Keys::trusting(PUBLIC).unwrap()));
    let new = published(&rotated, 0).await;
    assert_eq!(automatic(&rotated, &new).await, (2, None));
    for sequence in [1, 2] {
        assert!(loads(&both, &record(&both, sequence).await.unwrap()).await);
    }
    let foreign = distrust(&trusting, 2).await;
    assert!(matches!(foreign, Untrusted::Foreign(_)), "{foreign}");

    // What the old key signed is signed again where both are known, and never unseen.
    rollback(&signing, &digits(), 2, 1, "").await.unwrap();
    let unknown = sign(&only_new, &digits(), "op").await;
    let Err(AppendError::Refused(PromotionError::UntrustedRecord { sequence: 3, .. })) = unknown
    else {
        panic!("{unknown:?}")
    };
    let signed = sign(&rotated, &digits(), "op").await.unwrap().unwrap();
    assert_eq!((signed.sequence, signed.primary()), (4, Some(old.id)));
    assert_eq!(sign(&rotated, &digits(), "op").await.unwrap(), None);
    serve(&plain, 4, old.id).await;
    for storage in [&only_new, &rotated] {
        let refused = sign(storage, &digits(), "op").await;
        let Err(AppendError::Refused(PromotionError::SignedBefore { signed: 4, .. })) = refused
        else {
            panic!("{refused:?}")
        };
    }

    // Then nobody trusts the old one.
    assert!(loads(&only_new, &record(&only_new, 2).await.unwrap()).await);
    let foreign = distrust(&only_new, 1).await;
    assert_eq!(foreign, Untrusted::Foreign("21fe31dfa154a261".to_owned()));
}
