//! The flags of the experiment trackers.

use super::mlflow::{Client, Credentials, TrackingUri};
use crate::remote_write::root_certs;
use clap::Args;
use std::{fs, path::PathBuf};
use ureq::tls::RootCerts;

/// Where jobs are tracked.
#[derive(Clone, Debug, Default, Args)]
pub struct TrackerFlags {
    /// HTTP or HTTPS address of an MLflow server that each job is logged to, such as
    /// http://127.0.0.1:5000. Without it, no job is logged to MLflow.
    #[arg(long, env = "DIGITS_MLFLOW_TRACKING_URI", value_name = "URL")]
    pub mlflow_tracking_uri: Option<TrackingUri>,
    /// Name of the experiment that the runs of --mlflow-tracking-uri are in; it is created if it is
    /// not there. Default: digits.
    #[arg(
        long,
        env = "DIGITS_MLFLOW_EXPERIMENT",
        value_name = "NAME",
        requires = "mlflow_tracking_uri"
    )]
    pub mlflow_experiment: Option<String>,
    /// File with what the server of --mlflow-tracking-uri asks for: a token, or user:password. It
    /// is read before each call, so it can be replaced at any time.
    #[arg(
        long,
        env = "DIGITS_MLFLOW_CREDENTIALS_FILE",
        value_name = "FILE",
        requires = "mlflow_tracking_uri"
    )]
    pub mlflow_credentials_file: Option<PathBuf>,
    /// File with the CA certificates (PEM) to trust for an https:// address in
    /// --mlflow-tracking-uri, read at the start. Default: the public CAs.
    #[arg(
        long,
        env = "DIGITS_MLFLOW_CA_FILE",
        value_name = "FILE",
        requires = "mlflow_tracking_uri"
    )]
    pub mlflow_ca_file: Option<PathBuf>,
    /// Folder that each job is written to as a run of TensorBoard: curves, hyperparameters,
    /// and the weights and report card of each checkpoint. Without it, none is written.
    #[arg(long, env = "DIGITS_TENSORBOARD_DIR", value_name = "DIR")]
    pub tensorboard_dir: Option<PathBuf>,
}

/// An MLflow server, and the experiment for the runs.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) client: Client,
    pub(super) experiment: String,
    /// Address and experiment: with others, tracking begins anew.
    pub(super) target: String,
}

impl TrackerFlags {
    /// The folder for TensorBoard, if there is one; it is made if it is not there.
    ///
    /// # Errors
    /// One line that names the flag, the folder and the cause.
    pub(super) fn tensorboard(&self) -> Result<Option<PathBuf>, String> {
        let Some(folder) = &self.tensorboard_dir else {
            return Ok(None);
        };
        let made = fs::create_dir_all(folder).and_then(|()| folder.canonicalize());
        let refuse = |error| format!("--tensorboard-dir {}: {error}", folder.display());
        made.map(Some).map_err(refuse)
    }

    /// The MLflow server, if there is one.
    ///
    /// # Errors
    /// One line that names the flag and the remedy.
    pub(super) fn mlflow(&self) -> Result<Option<Server>, String> {
        let Some(address) = &self.mlflow_tracking_uri else {
            return Ok(None);
        };
        let experiment = self.mlflow_experiment.as_deref().unwrap_or("digits");
        if experiment.trim().is_empty() {
            return Err("--mlflow-experiment is empty: give a name, or leave it out".to_owned());
        }
        let credentials = self.mlflow_credentials_file.clone().map(Credentials);
        if let Some(credentials) = &credentials {
            credentials.read()?;
            if address.in_the_open() {
                tracing::warn!(%address, "the content of --mlflow-credentials-file is sent in plain text; use an https address");
            }
        }
        let authorities = match &self.mlflow_ca_file {
            Some(path) => root_certs("--mlflow-ca-file", path)?,
            None => RootCerts::WebPki,
        };
        Ok(Some(Server {
            client: Client::new(address.clone(), credentials, authorities),
            experiment: experiment.to_owned(),
            target: format!("{address} {experiment}"),
        }))
    }
}
