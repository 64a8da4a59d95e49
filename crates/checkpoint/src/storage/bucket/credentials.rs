//! Credentials of a bucket whose errors say where they were looked for, and what to do.

use super::variables::{TOKEN_FILES, Variables, untidy_token};
use crate::storage::panics;
use async_trait::async_trait;
use object_store::{
    CredentialProvider, Error,
    aws::{AwsCredential, AwsCredentialProvider},
};
use std::sync::Arc;

/// The credentials that the variables select.
#[derive(Debug)]
pub(super) struct NamedCredentials {
    selected: AwsCredentialProvider,
    /// The variables that name a token file, with its path.
    token_files: Vec<(&'static str, String)>,
    /// Whether no variable names credentials.
    from_metadata: bool,
}

impl NamedCredentials {
    pub(super) fn new(selected: &AwsCredentialProvider, variables: &Variables) -> Self {
        let path = |name| variables.get(name).map(|path| (name, path.to_owned()));
        Self {
            selected: Arc::clone(selected),
            token_files: TOKEN_FILES.into_iter().filter_map(path).collect(),
            from_metadata: !variables.has_credentials(),
        }
    }

    fn explain(&self, error: Error) -> Error {
        if self.from_metadata {
            return named(format!(
                "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, because the metadata service of this machine gave none ({error})"
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
        store: "S3",
        source: text.into(),
    }
}

#[async_trait]
impl CredentialProvider for NamedCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>, Error> {
        let got = panics::caught(self.selected.get_credential()).await;
        got.map_err(|error| self.explain(error))
    }
}
