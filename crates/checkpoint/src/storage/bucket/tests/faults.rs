//! What goes wrong with buckets, and what the errors say.

use super::{IN_PROCESS, open, start};
use crate::storage::StorageError;
use bytes::Bytes;
use digits_testing::bucket::{Backend, Bucket, Interface};

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_buckets_of_this_process_are_named() {
    for backend in IN_PROCESS {
        let (bucket, _dir) = start(backend).await;
        a_missing_bucket_is_named(&bucket).await;
        nothing_at_the_address_is_named(&bucket).await;
        // It checks no signature.
        if backend != Backend::InProcess(Interface::S3) {
            a_wrong_key_is_named(&bucket).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "`make test-buckets` brings SeaweedFS"]
async fn faults_of_seaweedfs_are_named() {
    let (bucket, _dir) = start(Backend::SeaweedFs).await;
    a_missing_bucket_is_named(&bucket).await;
    a_wrong_key_is_named(&bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "`make test-buckets` brings Azurite"]
async fn faults_of_azurite_are_named() {
    let (bucket, _dir) = start(Backend::Azurite).await;
    a_missing_bucket_is_named(&bucket).await;
    a_wrong_key_is_named(&bucket).await;
}

/// On a machine that gives none. Google's metadata service has no variable of the client's own.
#[tokio::test]
async fn credentials_that_are_nowhere_are_named() {
    let variables = [
        ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
        ("AZURE_MSI_ENDPOINT", "http://127.0.0.1:1/"),
        ("AZURE_ALLOW_HTTP", "true"),
    ];
    let storage = open("az://container/prefix", &variables).expect("opened");
    let error = storage.get("key", 1).await.expect_err("no credentials");
    let text = error.to_string();
    assert!(
        text.contains("no credentials: set AZURE_STORAGE_ACCOUNT_KEY"),
        "{text}"
    );
}

/// Not as an empty storage.
async fn a_missing_bucket_is_named(bucket: &Bucket) {
    let address = bucket.storage_in("absent");
    let storage = open(&address, &bucket.environment()).expect("opened");
    let errors = [
        storage.create("a", Bytes::from("x")).await.err(),
        storage.get("a", 1).await.err(),
        storage.range("a", 0..1).await.err(),
        storage.list("a", None).await.err(),
        storage.list("a", Some("a/1")).await.err(),
        storage.probe().await.err(),
    ];
    for error in errors {
        let error = error.expect("there is no bucket");
        assert!(matches!(error, StorageError::NoBucket { .. }), "{error}");
        let text = shown(bucket, &error);
        assert!(text.contains(&address), "{text}");
    }
}

async fn a_wrong_key_is_named(bucket: &Bucket) {
    let storage = open(&bucket.storage(), &bucket.wrong_environment()).expect("opened");
    let errors = [
        storage.create("a", Bytes::from("x")).await.err(),
        storage.get("a", 1).await.err(),
        storage.list("a", None).await.err(),
    ];
    for error in errors {
        let error = error.expect("the key is wrong");
        assert!(matches!(error, StorageError::Denied { .. }), "{error}");
        let text = shown(bucket, &error);
        assert!(text.contains("check the credentials"), "{text}");
        assert!(text.contains(bucket.address()), "{text}");
    }
}

async fn nothing_at_the_address_is_named(bucket: &Bucket) {
    let variables = bucket.unreachable_environment();
    let storage = open(&bucket.storage(), &variables).expect("opened");
    let error = storage.list("a", None).await.expect_err("nothing listens");
    assert!(matches!(error, StorageError::Store { .. }), "{error}");
    let text = shown(bucket, &error);
    assert!(text.contains("http://127.0.0.1:1/"), "{text}");
    assert!(!error.is_final(), "it may be started");
}

/// The text of an error, which has no secret in any form.
fn shown(bucket: &Bucket, error: &StorageError) -> String {
    let text = error.to_string();
    let all = format!("{text} {error:?}");
    for secret in bucket.secrets() {
        assert!(!all.contains(&secret), "{all}");
    }
    text
}
