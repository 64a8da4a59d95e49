//! Opens a storage on a container of Azure Blob Storage, with what the `AZURE_*` variables say.

use super::{
    client::{BULK_TIMEOUT, install_crypto_provider, parts, retry, storage},
    credentials::NamedCredentials,
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

const REMEDY: &str =
    "set AZURE_STORAGE_ACCOUNT_KEY, or AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET";

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
    let failed = |error: object_store::Error| refused("AZURE_*", error.to_string());
    let remedy = (!settings.iter().any(|(key, _)| is_credential(key))).then_some(REMEDY);
    let build = |builder: MicrosoftAzureBuilder| -> Result<Arc<MicrosoftAzure>, StorageError> {
        let selected = builder.clone().build().map_err(failed)?;
        let named = NamedCredentials::new(selected.credentials(), remedy);
        let named = builder.with_credentials(Arc::new(named)).build();
        named.map(Arc::new).map_err(failed)
    };
    Ok(storage(url, prefix, build(builder)?, build(bulk)?))
}

fn is_credential(key: AzureConfigKey) -> bool {
    use AzureConfigKey as Key;
    matches!(
        key,
        Key::AccessKey
            | Key::ClientSecret
            | Key::SasKey
            | Key::Token
            | Key::FederatedTokenFile
            | Key::UseAzureCli
            | Key::UseEmulator
            | Key::SkipSignature
            | Key::FabricTokenServiceUrl
    )
}
