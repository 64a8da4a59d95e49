//! The environment variables of a bucket's client that are passed on to it as they are.

use super::variables::{boolean, refused};
use crate::storage::StorageError;
use std::{ffi::OsString, str::FromStr};
use url::Url;

/// An environment, such as that of the process.
pub(super) type Environment<'a> = &'a [(OsString, OsString)];

/// The variables with one prefix that a client knows.
pub(super) struct Settings<K>(Vec<(String, K, String)>);

impl<K: FromStr + Copy> Settings<K> {
    /// Reads them, trimmed. One without a value counts as unset.
    ///
    /// # Errors
    /// [`StorageError::Variable`] for a value that would become an invalid header or URL.
    pub(super) fn read(prefix: &str, environment: Environment<'_>) -> Result<Self, StorageError> {
        let mut settings = Vec::new();
        for (name, value) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with(prefix)) else {
                continue;
            };
            let Ok(key) = name.to_ascii_lowercase().parse() else {
                continue;
            };
            let value = value.to_str();
            let value = value
                .ok_or_else(|| refused(name, "is no UTF-8 text"))?
                .trim();
            // A key as JSON and a certificate as PEM have several lines.
            let is_document = value.starts_with(['{', '-']);
            if value.contains(char::is_control) && !is_document {
                return Err(refused(name, "has a control character in its value"));
            }
            if !value.is_empty() {
                settings.push((name.to_owned(), key, value.to_owned()));
            }
        }
        Ok(Self(settings))
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, ..)| known == name);
        found.map(|(.., value)| value.as_str())
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &str)> {
        self.0.iter().map(|(_, key, value)| (*key, value.as_str()))
    }

    /// Refuses an address without encryption, unless the variable `allowing` accepts plain text.
    pub(super) fn check_address(&self, name: &str, allowing: &str) -> Result<(), StorageError> {
        let Some(address) = self.get(name) else {
            return Ok(());
        };
        let plain_text = self.get(allowing).and_then(boolean) == Some(true);
        let url = Url::parse(address).ok().filter(Url::has_host);
        match url.as_ref().map(Url::scheme) {
            Some("https") => Ok(()),
            Some("http") if plain_text => Ok(()),
            Some("http") => Err(refused(
                name,
                format!(
                    "{address} is not encrypted: write https://, or accept plain text with {allowing}=true"
                ),
            )),
            _ => Err(refused(
                name,
                format!("takes a URL such as https://storage.example.com, not {address:?}"),
            )),
        }
    }
}
