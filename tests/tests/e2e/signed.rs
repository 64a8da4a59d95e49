//! Signed checkpoints: a job is served under a key, a storage of an earlier version is signed, and
//! who can only write to the storage changes nothing.

use crate::support::damage;
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{GetModelRequest, GetModelResponse};
use digits_testing::{patience, until};
use std::{fs, path::Path, process::Command};

/// The files of a new key: the private one, and the public one.
pub struct KeyFiles {
    /// For `--signing-key`.
    pub private: String,
    /// For `--trusted-keys`.
    pub public: String,
}

fn digits(sandbox: &Sandbox, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(sandbox.binary("digits"))
        .args(arguments)
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {text}");
    Ok(output.stdout)
}

/// Creates a key in the sandbox's folder.
pub fn create_key(sandbox: &Sandbox) -> Result<KeyFiles> {
    let path = |name: &str| sandbox.dir().join(name).display().to_string();
    let (private, public) = (path("signing-key.pem"), path("trusted-keys.pem"));
    fs::write(&public, digits(sandbox, &["key", "create", &private])?)?;
    Ok(KeyFiles { private, public })
}

/// Waits until `good` of what is served of a model.
async fn model_until(
    sandbox: &Sandbox,
    model: &str,
    good: impl Fn(&GetModelResponse) -> bool,
) -> Result<GetModelResponse> {
    let mut client = sandbox.predict().await?;
    let request = || GetModelRequest {
        model: model.to_owned(),
    };
    let found = until("the state of the model", async || {
        let model = client.get_model(request()).await?.into_inner();
        Ok(Some(model).filter(&good))
    });
    found.await
}

fn serves(id: &str, model: &GetModelResponse) -> bool {
    let served = model.served.first().and_then(|it| it.checkpoint.as_ref());
    served.is_some_and(|checkpoint| checkpoint.checkpoint_id == id)
}

fn refused(model: &GetModelResponse) -> bool {
    let last = model.last_refusal.as_ref();
    last.is_some_and(|refusal| refusal.reason == "signature")
}

#[tokio::test]
async fn a_job_is_served_under_its_key_and_a_forged_record_is_not() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    let keys = create_key(&sandbox)?;
    let state = sandbox.dir().join("inference-state");
    sandbox
        .start_trainer(&["--signing-key", &keys.private])
        .await?;
    let state_flag = state.display().to_string();
    let trusting = ["--trusted-keys", &keys.public, "--state", &state_flag];
    sandbox.start_inference(&trusting).await?;
    let mut training = sandbox.training().await?;
    let job = jobs::run(&mut training, specs::synthetic(1)).await?;
    let good = job.checkpoint_ids.last().context("a checkpoint")?;
    model_until(&sandbox, "digits", |model| serves(good, model)).await?;

    let forged = damage::republish(&sandbox, |_| ())?;
    let model = model_until(&sandbox, "digits", refused).await?;
    assert!(serves(good, &model) && forged != *good, "{model:?}");
    let highest = fs::read_to_string(state.join("highest-sequence-digits"))?;
    assert_eq!(highest, "1\n");

    // The trainer goes on from the record that it signed.
    let job = jobs::run(&mut training, specs::synthetic(1)).await?;
    let next = job.checkpoint_ids.last().context("a checkpoint")?;
    let model = model_until(&sandbox, "digits", |model| serves(next, model)).await?;
    assert_eq!(model.served[0].sequence, 3);
    sandbox.stop().await
}

#[tokio::test]
async fn a_storage_of_an_earlier_version_is_signed_and_served() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    let version = Path::new(env!("CARGO_MANIFEST_DIR")).join("formats/0.1");
    super::earlier_formats::copy(&version.join("storage"), &sandbox.dir().join("storage"))?;
    let keys = create_key(&sandbox)?;
    let flags = ["--models", "digits,lines", "--trusted-keys", &keys.public];
    sandbox.start_inference(&flags).await?;
    for model in ["digits", "lines"] {
        let waiting = model_until(&sandbox, model, refused).await?;
        assert!(waiting.served.is_empty(), "{waiting:?}");
        let storage = sandbox.storage();
        let sign = ["sign", "--storage", &storage, "--model", model];
        digits(
            &sandbox,
            &[&sign[..], &["--signing-key", &keys.private]].concat(),
        )?;
    }
    // Its canary as well.
    model_until(&sandbox, "digits", |model| model.served.len() == 2).await?;
    model_until(&sandbox, "lines", |model| model.served.len() == 1).await?;
    sandbox.stop().await
}
