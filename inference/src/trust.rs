//! Opens what `--trusted-keys` and `--state` name: the keys whose signatures are required, and the
//! highest sequences that were seen.

use crate::{config::Config, loader::Highest};
use digits_checkpoint::{Keys, Storage, id::ModelName};
use digits_service::Error;
use std::{collections::BTreeMap, fmt::Display, fs, sync::Arc};

/// The highest sequences that were seen, where signatures are required.
pub struct Trust {
    highest: BTreeMap<ModelName, Arc<Highest>>,
}

impl Trust {
    /// The storage, which requires signatures where there are trusted keys, and what it needs to
    /// serve nothing older.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a file or folder that cannot be used.
    pub fn open(storage: Storage, config: &Config) -> Result<(Storage, Self), Error> {
        let mut highest = BTreeMap::new();
        let Some(file) = &config.trusted_keys else {
            return Ok((storage, Self { highest }));
        };
        let invalid = |error: &dyn Display| {
            Error::Config(format!("--trusted-keys {}: {error}", file.display()))
        };
        let pem = fs::read(file).map_err(|error| invalid(&error))?;
        let keys = Keys::trusting(&pem).map_err(|error| invalid(&error))?;
        for model in &config.models {
            let opened = Highest::open(config.state.as_deref(), model);
            let opened = opened.map_err(|error| Error::Config(format!("--state: {error}")))?;
            highest.insert(model.clone(), Arc::new(opened));
        }
        tracing::info!(?keys, "only what these keys have signed is served");
        Ok((storage.with_keys(keys), Self { highest }))
    }

    /// That of a model; `None` where no signatures are required.
    #[must_use]
    pub fn highest(&self, model: &ModelName) -> Option<Arc<Highest>> {
        self.highest.get(model).cloned()
    }
}
