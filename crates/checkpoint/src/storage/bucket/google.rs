//! Opens a storage on a bucket of Google Cloud Storage, with what the `GOOGLE_*` variables say.

use super::{
    client::{BULK_TIMEOUT, install_crypto_provider, parts, retry, storage},
    credentials::NamedCredentials,
    settings::{Environment, Settings},
    variables::refused,
};
use crate::storage::{Storage, StorageError};
use object_store::{
    ClientConfigKey,
    gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder, GoogleConfigKey},
};
use std::{env, sync::Arc};
use url::Url;

const REMEDY: &str = "set GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS";

/// Opens the storage at `url`, a `gs://` address.
pub(in crate::storage) fn open(url: &Url) -> Result<Storage, StorageError> {
    open_with(url, &env::vars_os().collect::<Vec<_>>())
}

pub(super) fn open_with(url: &Url, environment: Environment<'_>) -> Result<Storage, StorageError> {
    install_crypto_provider();
    let (bucket, prefix) = parts(url)?;
    let settings = Settings::<GoogleConfigKey>::read("GOOGLE_", environment)?;
    settings.check_address("GOOGLE_BASE_URL", "GOOGLE_ALLOW_HTTP")?;
    let builder = settings
        .iter()
        .fold(GoogleCloudStorageBuilder::new(), |builder, (key, value)| {
            builder.with_config(key, value)
        });
    let builder = builder.with_bucket_name(bucket).with_retry(retry());
    let timeout = GoogleConfigKey::Client(ClientConfigKey::Timeout);
    let bulk = builder.clone().with_config(timeout, BULK_TIMEOUT);
    let failed = |error: object_store::Error| refused("GOOGLE_*", error.to_string());
    let remedy = (!settings.iter().any(|(key, _)| is_credential(key))).then_some(REMEDY);
    let build =
        |builder: GoogleCloudStorageBuilder| -> Result<Arc<GoogleCloudStorage>, StorageError> {
            let selected = builder.clone().build().map_err(failed)?;
            let named = NamedCredentials::new(selected.credentials(), remedy);
            let named = builder.with_credentials(Arc::new(named)).build();
            named.map(Arc::new).map_err(failed)
        };
    Ok(storage(url, prefix, build(builder)?, build(bulk)?))
}

fn is_credential(key: GoogleConfigKey) -> bool {
    use GoogleConfigKey as Key;
    matches!(
        key,
        Key::ServiceAccount
            | Key::ServiceAccountKey
            | Key::ApplicationCredentials
            | Key::BearerToken
            | Key::SkipSignature
    )
}
