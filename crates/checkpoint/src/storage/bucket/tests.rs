//! Buckets of Google and Azure, against a server of the few requests that the storage makes.

mod server;

use super::{azure, google};
use crate::storage::{Created, Storage, StorageError};
use bytes::Bytes;
use server::{Interface, Server, TOKEN};
use url::Url;

fn open(
    interface: Interface,
    address: &str,
    variables: &[(&str, &str)],
) -> Result<Storage, StorageError> {
    let url = Url::parse(address).expect("a URL");
    let variables = variables.iter();
    let variables: Vec<_> = variables
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    match interface {
        Interface::Google => google::open_with(&url, &variables),
        Interface::Azure => azure::open_with(&url, &variables),
    }
}

fn opened(interface: Interface, server: &Server) -> Storage {
    let address = server.address.as_str();
    let opened = match interface {
        Interface::Google => open(
            interface,
            "gs://bucket/some/prefix/",
            &[
                ("GOOGLE_BASE_URL", address),
                ("GOOGLE_ALLOW_HTTP", "true"),
                ("GOOGLE_BEARER_TOKEN", TOKEN),
            ],
        ),
        Interface::Azure => open(
            interface,
            "az://bucket/some/prefix",
            &[
                ("AZURE_STORAGE_ENDPOINT", address),
                ("AZURE_ALLOW_HTTP", "true"),
                ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
                ("AZURE_STORAGE_TOKEN", TOKEN),
            ],
        ),
    };
    opened.expect("opened")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_created_once_read_listed_and_deleted() {
    for interface in [Interface::Google, Interface::Azure] {
        let server = Server::start(interface);
        let storage = opened(interface, &server);
        storage.probe().await.expect("exclusive");
        for (bytes, expected) in [
            ("first", Created::Ours),
            ("first", Created::Ours),
            ("second", Created::Theirs),
        ] {
            let created = storage.create("a/b/1.json", Bytes::from(bytes)).await;
            assert_eq!(
                created.expect("answered"),
                expected,
                "{interface:?} {bytes}"
            );
        }
        storage
            .create("a/b/2.json", Bytes::from("x"))
            .await
            .expect("created");
        let key = "some/prefix/a/b/1.json";
        assert!(
            server.keys().contains(&key.to_owned()),
            "{:?}",
            server.keys()
        );

        let read = storage.get("a/b/1.json", 100).await.expect("read");
        assert_eq!(read.as_deref(), Some(&b"first"[..]));
        assert_eq!(storage.get("a/b/3.json", 100).await.expect("read"), None);
        assert_eq!(storage.size("a/b/1.json").await.expect("read"), Some(5));
        let range = storage.range("a/b/1.json", 1..3).await.expect("read");
        assert_eq!(range, "ir");
        let listed = async |offset| {
            let entries = storage.list("a", offset).await.expect("listed");
            let mut keys: Vec<String> = entries.into_iter().map(|it| it.key).collect();
            keys.sort();
            keys
        };
        assert_eq!(listed(None).await, ["a/b/1.json", "a/b/2.json"]);
        assert_eq!(listed(Some("a/b/1.json")).await, ["a/b/2.json"]);

        storage.delete("a/b/1.json").await.expect("deleted");
        storage.delete("a/b/1.json").await.expect("it is gone");
        assert_eq!(listed(None).await, ["a/b/2.json"]);
    }
}

#[test]
fn wrong_variables_are_named() {
    let google = (Interface::Google, "gs://bucket/x");
    let azure = (Interface::Azure, "az://container/x");
    let account = ("AZURE_STORAGE_ACCOUNT_NAME", "account");
    let token = ("GOOGLE_BEARER_TOKEN", "token");
    for ((interface, address), variables, part) in [
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
        let error = open(interface, address, &variables).expect_err(part);
        assert!(error.to_string().contains(part), "{part}: {error}");
        assert!(error.is_final());
    }
    // A line break at the end is no part of a value, and an empty variable counts as unset.
    let variables = [("GOOGLE_BEARER_TOKEN", "token\n"), ("GOOGLE_BASE_URL", " ")];
    let opened = open(Interface::Google, "gs://bucket/some/prefix/", &variables);
    assert_eq!(opened.expect("opened").url(), "gs://bucket/some/prefix");
}
