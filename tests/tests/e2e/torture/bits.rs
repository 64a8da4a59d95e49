//! Single flipped bits of what is served: refused by a service that starts on it.
//!
//! `DIGITS_TORTURE_FLIPS` sets the number of flips.

use super::{number, seed, table};
use crate::{signed::create_key, support::torture::Random};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::GetModelRequest;
use digits_testing::{patience, until};
use std::{
    fs,
    path::{Path, PathBuf},
};

const FLIPS: usize = 8;

/// The files of what the model `digits` serves: serving record, manifest, weights and exam.
fn served_files(storage: &Path, checkpoint: &str) -> [PathBuf; 4] {
    let folder = storage.join("checkpoints").join(checkpoint);
    [
        storage
            .join("serving/digits")
            .join(format!("{:020}.json", 1)),
        folder.join("manifest.json"),
        folder.join("model.safetensors"),
        folder.join("exam.safetensors"),
    ]
}

#[tokio::test]
async fn no_flipped_bit_of_a_signed_checkpoint_is_served() -> Result<()> {
    let flips = number("DIGITS_TORTURE_FLIPS", FLIPS)?;
    let seed = seed()?;
    let mut random = Random::new(seed);
    let mut sandbox = Sandbox::new(patience())?;
    let keys = create_key(&sandbox)?;
    sandbox
        .start_trainer(&["--signing-key", &keys.private])
        .await?;
    let mut training = sandbox.training().await?;
    let job = jobs::run(&mut training, specs::synthetic(1)).await?;
    let checkpoint = job.checkpoint_ids.last().context("a checkpoint")?;
    ensure!(sandbox.take_trainer()?.stop().await?.success());

    let files = served_files(&sandbox.dir().join("storage"), checkpoint);
    let flags = ["--trusted-keys", &keys.public];
    ensure!(is_served(&mut sandbox, &flags).await?, "it is right");
    for _ in 0..flips {
        let file = &files[random.below(4) as usize];
        let right = fs::read(file)?;
        let bit = random.below(8 * right.len() as u64) as usize;
        let mut flipped = right.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(file, flipped)?;
        let served = is_served(&mut sandbox, &flags).await?;
        ensure!(!served, "bit {bit} of {}, seed {seed}", file.display());
        fs::write(file, right)?;
    }
    ensure!(is_served(&mut sandbox, &flags).await?, "it is right again");
    let done = format!("{flips} flips in record, manifest, weights and exam");
    table::row("a bit of a signed checkpoint is flipped", &done, "0 served")
}

/// Whether a service that starts now serves the checkpoint; it says why where it does not.
async fn is_served(sandbox: &mut Sandbox, flags: &[&str]) -> Result<bool> {
    sandbox.start_inference(flags).await?;
    let mut client = sandbox.predict().await?;
    let served = until("the checkpoint is served or refused", async || {
        let model = client.get_model(GetModelRequest::default()).await?;
        let model = model.into_inner();
        let refused = model.last_refusal.is_some() || !model.storage_faults.is_empty();
        let served = !model.served.is_empty();
        Ok((served || refused).then_some(served))
    });
    let served = served.await?;
    sandbox.take_inference()?.crash()?;
    Ok(served)
}
