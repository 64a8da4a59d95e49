//! A bucket that a test uses: its address, the variables of its clients, and its faults.

use super::{
    program::{Program, has_unread_bytes},
    server::Server,
    wire::{FEDERATED_TOKEN, Interface, NAME},
};
use anyhow::{Context as _, Result};
use std::{fs, path::Path};

/// The secret of a client with a wrong one, and the same in base64.
const WRONG: [&str; 2] = ["hush-secret", "aHVzaC1zZWNyZXQ="];

/// An empty bucket on loopback. What stands behind it ends when this is dropped.
pub struct Bucket {
    pub(super) host: Host,
    pub(super) interface: Interface,
    /// URL of the service, without a path.
    pub(super) address: String,
    pub(super) variables: Vec<(&'static str, String)>,
}

/// Where the server runs.
pub(super) enum Host {
    Thread(Server),
    Program(Program),
}

impl Bucket {
    /// URL of the service.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Address of a storage in the bucket.
    #[must_use]
    pub fn storage(&self) -> String {
        self.storage_in(NAME)
    }

    /// Address of a storage in a bucket with another name, which does not exist.
    #[must_use]
    pub fn storage_in(&self, bucket: &str) -> String {
        format!("{}://{bucket}/some/prefix", self.interface.scheme())
    }

    /// Environment variables of a client.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        self.variables.clone()
    }

    /// Environment variables of a client that has another key or token.
    #[must_use]
    pub fn wrong_environment(&self) -> Vec<(&'static str, String)> {
        self.changed(|name| match name {
            "AWS_SECRET_ACCESS_KEY" | "GOOGLE_BEARER_TOKEN" | "AZURE_STORAGE_TOKEN" => {
                Some(WRONG[0].to_owned())
            }
            "AZURE_STORAGE_ACCOUNT_KEY" => Some(WRONG[1].to_owned()),
            _ => None,
        })
    }

    /// Environment variables of a client at an address where nothing listens.
    #[must_use]
    pub fn unreachable_environment(&self) -> Vec<(&'static str, String)> {
        self.changed(|name| match name {
            "AWS_ENDPOINT" | "GOOGLE_BASE_URL" | "AZURE_STORAGE_ENDPOINT" => {
                Some("http://127.0.0.1:1".to_owned())
            }
            _ => None,
        })
    }

    fn changed(&self, value: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
        let mut variables = self.environment();
        for (name, old) in &mut variables {
            *old = value(name).unwrap_or_else(|| old.clone());
        }
        variables
    }

    /// What none of the errors and logs of a client may have, with any of these variables.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let is_secret = |name: &str| {
            name != "AWS_ACCESS_KEY_ID" && (name.contains("KEY") || name.contains("TOKEN"))
        };
        let all = [self.environment(), self.wrong_environment()].concat();
        let mut secrets = vec![FEDERATED_TOKEN.to_owned()];
        let secret = all.into_iter().filter(|(name, _)| is_secret(name));
        secrets.extend(secret.map(|(_, value)| value));
        secrets
    }

    /// Environment variables of a client with the identity that a cluster gives its pods: GKE by a
    /// metadata service, AKS by a token in a file, for which `dir` is used. A bucket in this
    /// process has both.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn workload_identity(&self, dir: &Path) -> Result<Vec<(&'static str, String)>> {
        let mut variables = self.environment();
        variables.retain(|(name, _)| !name.ends_with("_TOKEN"));
        match self.interface {
            Interface::S3 => {}
            Interface::Google => {
                let host = self.address.strip_prefix("http://").context("an address")?;
                variables.push(("GCE_METADATA_HOST", host.to_owned()));
            }
            Interface::Azure => {
                let file = dir.join("azure-identity-token");
                fs::write(&file, FEDERATED_TOKEN)?;
                variables.extend([
                    ("AZURE_CLIENT_ID", "client".to_owned()),
                    ("AZURE_TENANT_ID", "tenant".to_owned()),
                    ("AZURE_FEDERATED_TOKEN_FILE", file.display().to_string()),
                    ("AZURE_AUTHORITY_HOST", self.address.clone()),
                ]);
            }
        }
        Ok(variables)
    }

    /// Stops responding: accepts connections from now on, and answers none.
    ///
    /// # Errors
    /// When the program cannot be stopped.
    pub fn fall_silent(&self) -> Result<()> {
        match &self.host {
            Host::Thread(server) => server.fall_silent(),
            Host::Program(program) => program.pause()?,
        }
        Ok(())
    }

    /// Whether a request has arrived since [`Bucket::fall_silent`].
    ///
    /// # Errors
    /// When the connections of this machine cannot be read.
    pub fn has_unread_requests(&self) -> Result<bool> {
        match &self.host {
            Host::Thread(server) => Ok(server.holds_requests()),
            Host::Program(_) => has_unread_bytes(&self.address),
        }
    }

    /// Responds again, also to the pending requests.
    ///
    /// # Errors
    /// When the program cannot be continued.
    pub fn speak_again(&self) -> Result<()> {
        match &self.host {
            Host::Thread(server) => server.speak_again(),
            Host::Program(program) => program.resume()?,
        }
        Ok(())
    }
}
