//! Opens a storage on an S3 bucket, with what the `AWS_*` variables say.

use super::{
    client::{BULK_TIMEOUT, install_crypto_provider, parts, retry, storage},
    credentials::NamedCredentials,
    variables::Variables,
};
use crate::storage::{Storage, StorageError};
use object_store::{
    ClientConfigKey,
    aws::{AmazonS3, AmazonS3ConfigKey},
};
use std::sync::Arc;
use url::Url;

const REMEDY: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";

/// Opens the storage at `url`, an `s3://` address.
pub(in crate::storage) fn open(url: &Url) -> Result<Storage, StorageError> {
    open_with(url, &Variables::from_environment()?)
}

pub(super) fn open_with(url: &Url, variables: &Variables) -> Result<Storage, StorageError> {
    install_crypto_provider();
    let (name, prefix) = parts(url)?;
    variables.check()?;
    let build = |bulk: bool| -> Result<AmazonS3, StorageError> {
        let mut builder = variables
            .builder()
            .with_bucket_name(name)
            .with_retry(retry());
        if bulk {
            let timeout = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
            builder = builder.with_config(timeout, BULK_TIMEOUT);
        }
        let failed = |error| variables.culprit(name, &error);
        // Built twice, because the credentials that the variables select are known afterwards.
        let selected = builder.clone().build().map_err(failed)?;
        let remedy = (!variables.has_credentials()).then_some(REMEDY);
        let named = NamedCredentials::new(selected.credentials(), remedy);
        let named = named.with_token_files(variables);
        let named = builder.with_credentials(Arc::new(named)).build();
        named.map_err(failed)
    };
    let (store, bulk) = (Arc::new(build(false)?), Arc::new(build(true)?));
    Ok(storage(url, prefix, store, bulk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn storage(all: &[(&str, &str)]) -> Result<Storage, StorageError> {
        let url = Url::parse("s3://bucket/prefix").expect("a URL");
        let all = all
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        open_with(&url, &Variables::new(all)?)
    }

    #[tokio::test]
    async fn credentials_that_are_nowhere_are_named() {
        let storage = storage(&[("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")]);
        let error = storage.expect("opened").get("key", 1).await;
        let text = error.expect_err("no credentials").to_string();
        assert!(
            text.contains("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
            "{text}"
        );
    }

    /// The client panics on such a token.
    #[tokio::test]
    async fn a_token_file_that_gets_a_line_break_later_is_an_error_of_the_storage() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("token");
        fs::write(&path, "token").expect("written");
        let storage = storage(&[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/"),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                path.to_str().expect("text"),
            ),
        ])
        .expect("opened");
        fs::write(&path, "token\n").expect("written");
        let error = storage.list("serving", None).await.expect_err("no token");
        let text = error.to_string();
        assert!(
            text.contains("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
            "{text}"
        );
        assert!(!error.is_final(), "the next reading may find another file");
    }

    #[test]
    fn a_wrong_value_is_refused_when_the_storage_is_opened() {
        let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        for (name, value) in [
            ("AWS_CHECKSUM_ALGORITHM", "md5"),
            ("AWS_ALLOW_HTTP", "maybe"),
            ("AWS_PROXY_URL", "::"),
        ] {
            let error = storage(&[keys[0], keys[1], (name, value)]).expect_err(name);
            assert!(matches!(error, StorageError::Variable { name: it, .. } if it == name));
        }
    }
}
