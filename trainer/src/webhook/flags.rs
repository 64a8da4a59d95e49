//! The flags of the webhooks.

use super::{address::WebhookUrl, client::Client, secrets::Secrets};
use crate::remote_write::root_certs;
use clap::{
    Arg, Args, Command,
    builder::TypedValueParser,
    error::{Error, ErrorKind},
};
use std::{ffi::OsStr, path::PathBuf, sync::Arc};
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
        hide_env_values = true,
        value_parser = AddressParser,
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
        let mut addresses: Vec<&WebhookUrl> = Vec::new();
        for address in &self.webhook {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let count = addresses.len();
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
        let client = |&url: &&WebhookUrl| {
            Arc::new(Client::new(
                url.clone(),
                secrets.clone(),
                authorities.clone(),
            ))
        };
        Ok(addresses.iter().map(client).collect())
    }
}

/// Parses an address, of which the errors do not show it: its path may be a secret.
#[derive(Clone)]
struct AddressParser;

impl TypedValueParser for AddressParser {
    type Value = WebhookUrl;

    fn parse_ref(
        &self,
        command: &Command,
        _: Option<&Arg>,
        value: &OsStr,
    ) -> Result<WebhookUrl, Error> {
        let parsed = value.to_string_lossy().parse();
        parsed.map_err(|reason: String| {
            let message = format!("an address of --webhook {reason}\n");
            Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use clap::Parser;
    use std::fs;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        webhooks: WebhookFlags,
    }

    #[test]
    fn an_address_that_is_given_twice_receives_each_event_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        fs::write(&file, format!("whsec_{}", STANDARD.encode([7; 32]))).expect("a file");
        let addresses = "http://127.0.0.1:1/a http://127.0.0.1:1/b http://127.0.0.1:1/a";
        let file = format!("--webhook-secret-file={}", file.display());
        let flags = ["trainer", "--webhook", addresses, &file];
        let flags = Flags::try_parse_from(flags).expect("flags").webhooks;
        let receivers = flags.receivers().expect("receivers");
        let receivers: Vec<&str> = receivers.iter().map(|one| one.url().as_str()).collect();
        assert_eq!(receivers, ["http://127.0.0.1:1/a", "http://127.0.0.1:1/b"]);
    }

    #[test]
    fn an_address_that_is_refused_is_not_shown() {
        let flags = ["trainer", "--webhook", "ftp://127.0.0.1/topsecret"];
        let error = Flags::try_parse_from(flags)
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains("--webhook must be an http"), "{error}");
        assert!(!error.contains("topsecret"), "{error}");
    }
}
