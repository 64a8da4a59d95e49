//! Opens a storage on a bucket of Google Cloud Storage, with what the `GOOGLE_*` variables say.

use super::{
    client::{BULK_TIMEOUT, install_crypto_provider, parts, retry, storage},
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
    let build =
        |builder: GoogleCloudStorageBuilder| -> Result<Arc<GoogleCloudStorage>, StorageError> {
            let built = builder.build();
            built
                .map(Arc::new)
                .map_err(|error| refused("GOOGLE_*", error.to_string()))
        };
    Ok(storage(url, prefix, build(builder)?, build(bulk)?))
}
