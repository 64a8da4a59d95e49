//! Credentials of a bucket whose errors say where they were looked for, and what to do.

use super::variables::{TOKEN_FILES, Variables, untidy_token};
use crate::storage::panics;
use async_trait::async_trait;
use object_store::{CredentialProvider, Error};
use std::{fmt, sync::Arc};

/// The credentials that the variables select.
#[derive(Debug)]
pub(super) struct NamedCredentials<C> {
    selected: Arc<dyn CredentialProvider<Credential = C>>,
    /// The variables that name a token file, with its path.
    token_files: Vec<(&'static str, String)>,
    /// What to do if no variable names credentials, and the machine gives none.
    remedy: Option<&'static str>,
}

impl<C> NamedCredentials<C> {
    /// With a remedy if no variable names credentials.
    pub(super) fn new(
        selected: &Arc<dyn CredentialProvider<Credential = C>>,
        remedy: Option<&'static str>,
    ) -> Self {
        Self {
            selected: Arc::clone(selected),
            token_files: Vec::new(),
            remedy,
        }
    }

    /// Looks into the token files of S3 after an error.
    pub(super) fn with_token_files(mut self, variables: &Variables) -> Self {
        let path = |name| variables.get(name).map(|path| (name, path.to_owned()));
        self.token_files = TOKEN_FILES.into_iter().filter_map(path).collect();
        self
    }

    fn explain(&self, error: Error) -> Error {
        if let Some(remedy) = self.remedy {
            return named(format!(
                "no credentials: {remedy}, because the metadata service of this machine gave none ({error})"
            ));
        }
        // It may have been replaced since the start.
        let untidy = self
            .token_files
            .iter()
            .find_map(|(name, path)| Some((name, untidy_token(path)?)));
        match untidy {
            Some((name, reason)) => named(format!("no credentials: {name}: {reason}")),
            None => error,
        }
    }
}

fn named(text: String) -> Error {
    Error::Generic {
        store: "bucket",
        source: text.into(),
    }
}

#[async_trait]
impl<C: fmt::Debug + Send + Sync + 'static> CredentialProvider for NamedCredentials<C> {
    type Credential = C;

    async fn get_credential(&self) -> Result<Arc<C>, Error> {
        let got = panics::caught(self.selected.get_credential()).await;
        got.map_err(|error| self.explain(error))
    }
}
