//! The flags of the webhooks.

use super::{address::WebhookUrl, client::Client, secrets::Secrets};
use crate::remote_write::root_certs;
use clap::Args;
use std::{path::PathBuf, sync::Arc};
use ureq::tls::RootCerts;

/// Receivers, at most: each is a loop of its own and a copy of each event.
const MAX_RECEIVERS: usize = 8;

/// Where events are sent, and how they are signed.
#[derive(Clone, Debug, Default, Args)]
pub struct WebhookFlags {
    /// HTTP or HTTPS address that receives a signed CloudEvent for each end of a job and each
    /// checkpoint that is published, promoted, rolled back or refused. Repeatable, up to 8; in the
    /// environment with spaces between them. Without it, no events are sent.
    #[arg(
        long,
        env = "DIGITS_WEBHOOK",
        value_name = "URL",
        value_delimiter = ' ',
        requires = "webhook_secret_file"
    )]
    pub webhook: Vec<WebhookUrl>,
    /// File with the secret that signs events for --webhook: whsec_ and 24 to 64 bytes in base64. With
    /// a second one on a line of its own, events have both signatures. It is read before each attempt,
    /// so it can be replaced at any time.
    #[arg(
        long,
        env = "DIGITS_WEBHOOK_SECRET_FILE",
        value_name = "FILE",
        requires = "webhook"
    )]
    pub webhook_secret_file: Option<PathBuf>,
    /// File with the CA certificates (PEM) to trust for https:// addresses in --webhook, read at the
    /// start. Default: the public CAs.
    #[arg(
        long,
        env = "DIGITS_WEBHOOK_CA_FILE",
        value_name = "FILE",
        requires = "webhook"
    )]
    pub webhook_ca_file: Option<PathBuf>,
}

impl WebhookFlags {
    /// A client for each receiver.
    ///
    /// # Errors
    /// One line that names the flag and the remedy.
    pub(super) fn receivers(&self) -> Result<Vec<Arc<Client>>, String> {
        let Some(path) = &self.webhook_secret_file else {
            return Ok(Vec::new());
        };
        let count = self.webhook.len();
        if count > MAX_RECEIVERS {
            return Err(format!(
                "--webhook is given {count} times: give at most {MAX_RECEIVERS}"
            ));
        }
        let secrets = Secrets(path.clone());
        secrets.read()?;
        let authorities = match &self.webhook_ca_file {
            Some(path) => root_certs("--webhook-ca-file", path)?,
            None => RootCerts::WebPki,
        };
        let client = |url: &WebhookUrl| {
            Arc::new(Client::new(
                url.clone(),
                secrets.clone(),
                authorities.clone(),
            ))
        };
        Ok(self.webhook.iter().map(client).collect())
    }
}
