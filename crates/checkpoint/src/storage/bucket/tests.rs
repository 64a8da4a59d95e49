//! Buckets: of this process, of emulators and of a storage server.

mod contract;
mod faults;

use super::{azure, google, s3, variables::Variables};
use crate::storage::{Storage, StorageError};
use digits_testing::bucket::{Backend, Bucket, Interface};
use std::ffi::OsString;
use url::Url;

/// What [`Backend`]s every machine has.
const IN_PROCESS: [Backend; 3] = [
    Backend::InProcess(Interface::S3),
    Backend::InProcess(Interface::Google),
    Backend::InProcess(Interface::Azure),
];

fn open<V: AsRef<str>>(address: &str, variables: &[(&str, V)]) -> Result<Storage, StorageError> {
    let url = Url::parse(address).expect("a URL");
    let variables = variables.iter();
    let variables: Vec<(OsString, OsString)> = variables
        .map(|(name, value)| ((*name).into(), value.as_ref().into()))
        .collect();
    match url.scheme() {
        "s3" => s3::open_with(&url, &Variables::new(variables.into_iter())?),
        "gs" => google::open_with(&url, &variables),
        _ => azure::open_with(&url, &variables),
    }
}

/// A bucket, and the folder of what stands behind it.
async fn start(backend: Backend) -> (Bucket, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let bucket = Bucket::start(backend, dir.path()).await;
    (bucket.expect("started"), dir)
}

#[test]
fn wrong_variables_are_named() {
    let google = "gs://bucket/x";
    let azure = "az://container/x";
    let account = ("AZURE_STORAGE_ACCOUNT_NAME", "account");
    let token = ("GOOGLE_BEARER_TOKEN", "token");
    for (address, variables, part) in [
        (azure, vec![], "AZURE_STORAGE_ACCOUNT_NAME: is not set"),
        (
            azure,
            vec![account, ("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1")],
            "AZURE_ALLOW_HTTP=true",
        ),
        (
            azure,
            vec![account, ("AZURE_STORAGE_ACCOUNT_KEY", "é")],
            "AZURE_*: ",
        ),
        (
            google,
            vec![token, ("GOOGLE_BASE_URL", "http://127.0.0.1")],
            "GOOGLE_ALLOW_HTTP=true",
        ),
        (
            google,
            vec![("GOOGLE_BEARER_TOKEN", "to\nken")],
            "GOOGLE_BEARER_TOKEN: has a control character",
        ),
        (
            google,
            vec![("GOOGLE_SERVICE_ACCOUNT_KEY", "{}")],
            "GOOGLE_*: ",
        ),
    ] {
        let error = open(address, &variables).expect_err(part);
        assert!(error.to_string().contains(part), "{part}: {error}");
        assert!(error.is_final());
    }
    // A line break at the end is no part of a value, and an empty variable counts as unset.
    let variables = [("GOOGLE_BEARER_TOKEN", "token\n"), ("GOOGLE_BASE_URL", " ")];
    let opened = open("gs://bucket/some/prefix/", &variables);
    assert_eq!(opened.expect("opened").url(), "gs://bucket/some/prefix");
}
