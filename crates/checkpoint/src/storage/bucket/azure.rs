//! Opens a storage on a container of Azure Blob Storage, with what the `AZURE_*` variables say.

use super::{
    client::{BULK_TIMEOUT, install_crypto_provider, parts, retry, storage},
    settings::{Environment, Settings},
    variables::refused,
};
use crate::storage::{Storage, StorageError};
use object_store::{
    ClientConfigKey,
    azure::{AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder},
};
use std::{env, sync::Arc};
use url::Url;

const ACCOUNT: &str = "AZURE_STORAGE_ACCOUNT_NAME";

/// Opens the storage at `url`, an `az://` address.
pub(in crate::storage) fn open(url: &Url) -> Result<Storage, StorageError> {
    open_with(url, &env::vars_os().collect::<Vec<_>>())
}

pub(super) fn open_with(url: &Url, environment: Environment<'_>) -> Result<Storage, StorageError> {
    install_crypto_provider();
    let (container, prefix) = parts(url)?;
    let settings = Settings::<AzureConfigKey>::read("AZURE_", environment)?;
    for name in ["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"] {
        settings.check_address(name, "AZURE_ALLOW_HTTP")?;
    }
    if settings.get(ACCOUNT).is_none() {
        let reason =
            format!("is not set: name the storage account that has the container {container}");
        return Err(refused(ACCOUNT, reason));
    }
    let builder = settings
        .iter()
        .fold(MicrosoftAzureBuilder::new(), |builder, (key, value)| {
            builder.with_config(key, value)
        });
    let builder = builder.with_container_name(container).with_retry(retry());
    let timeout = AzureConfigKey::Client(ClientConfigKey::Timeout);
    let bulk = builder.clone().with_config(timeout, BULK_TIMEOUT);
    let build = |builder: MicrosoftAzureBuilder| -> Result<Arc<MicrosoftAzure>, StorageError> {
        let built = builder.build();
        built
            .map(Arc::new)
            .map_err(|error| refused("AZURE_*", error.to_string()))
    };
    Ok(storage(url, prefix, build(builder)?, build(bulk)?))
}
