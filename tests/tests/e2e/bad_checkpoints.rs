//! Invalid checkpoints on the storage are refused, and the previous one keeps serving.

use crate::support::{
    damage::{self, Files},
    http,
};
use anyhow::{Context as _, Result};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{GetModelRequest, PredictRequest, predict_request::Images};
use digits_testing::{patience, until};

type Damage = fn(&mut Files);

fn flip_a_bit(files: &mut Files) {
    if let Some(byte) = files.model.last_mut() {
        *byte ^= 1;
    }
}

fn truncate(files: &mut Files) {
    files.model.truncate(files.model.len() / 2);
}

fn fill_with_nan(files: &mut Files) {
    let end = files.model.len();
    files.model[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    files.sign();
}

fn claim_another_shape(files: &mut Files) {
    files.manifest["architecture"]["hidden"] = serde_json::json!([31]);
}

/// Weights that the exam does not belong to: every digest is right, the answers are wrong.
fn swap_weights(files: &mut Files) {
    let end = files.model.len();
    for value in files.model[end - 4_000..].chunks_exact_mut(4) {
        let old = f32::from_le_bytes([value[0], value[1], value[2], value[3]]);
        value.copy_from_slice(&(old + 0.5).to_le_bytes());
    }
    files.sign();
}

fn claim_a_newer_format(files: &mut Files) {
    files.manifest["format"] = 99.into();
}

/// Failed loads of the inference service, which it retries.
fn failed_loads(sandbox: &Sandbox) -> Result<u64> {
    let metrics = http::get(sandbox.inference()?.admin(), "/metrics")?;
    let series = r#"digits_inference_reloads_total{model="digits",result="failed"} "#;
    let mut values = metrics.lines().filter_map(|line| line.strip_prefix(series));
    Ok(values.next().context(series)?.parse()?)
}

#[tokio::test]
async fn bad_checkpoints_are_refused_and_the_old_one_keeps_serving() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;
    let mut training = sandbox.training().await?;
    let job = jobs::run(&mut training, specs::synthetic(1)).await?;
    let good = job.checkpoint_ids.last().context("a checkpoint")?;
    let mut client = sandbox.predict().await?;
    let request = || PredictRequest {
        images: Some(Images::Pixels(vec![0; 784].into())),
        ..PredictRequest::default()
    };
    until("an answer", async || {
        Ok(client.predict(request()).await.ok())
    })
    .await?;

    let cases: [(&str, &[&str], Damage); 6] = [
        ("a flipped bit", &["digest"], flip_a_bit),
        ("truncated", &["size"], truncate),
        ("filled with NaN", &["not_finite"], fill_with_nan),
        (
            "another shape",
            &["shape", "architecture"],
            claim_another_shape,
        ),
        ("other weights", &["exam"], swap_weights),
        ("a newer format", &["format"], claim_a_newer_format),
    ];
    let mut last_good = good.clone();
    for (case, reasons, damage) in cases {
        let id = damage::republish(&sandbox, damage)?;
        let refusal = until(case, async || {
            let model = client
                .get_model(GetModelRequest::default())
                .await?
                .into_inner();
            assert!(model.served.iter().all(|served| {
                served
                    .checkpoint
                    .as_ref()
                    .is_some_and(|checkpoint| checkpoint.checkpoint_id != id)
            }));
            Ok(model
                .last_refusal
                .filter(|refusal| refusal.checkpoint_id == id))
        })
        .await?;
        assert!(
            reasons.contains(&refusal.reason.as_str()),
            "{case}: {refusal:?}"
        );
        let answer = client.predict(request()).await?.into_inner();
        assert_eq!(
            answer.served_by.context("served_by")?.checkpoint_id,
            last_good,
            "{case}"
        );

        // The next valid one is served: an invalid head blocks nothing.
        let job = jobs::run(&mut training, specs::synthetic(1)).await?;
        last_good = job.checkpoint_ids.last().context("a checkpoint")?.clone();
        until("the next good checkpoint", async || {
            let answer = client.predict(request()).await?.into_inner();
            Ok((answer.served_by.context("served_by")?.checkpoint_id == last_good).then_some(()))
        })
        .await?;
    }

    // An incomplete checkpoint is awaited, not refused: it may still be committed.
    let before = failed_loads(&sandbox)?;
    let id = damage::republish(&sandbox, |files| files.committed = false)?;
    until("a second attempt to load it", async || {
        Ok((failed_loads(&sandbox)? > before + 1).then_some(()))
    })
    .await?;
    let answer = client.predict(request()).await?.into_inner();
    assert_eq!(
        answer.served_by.context("served_by")?.checkpoint_id,
        last_good
    );
    let model = client.get_model(GetModelRequest::default()).await?;
    let refusal = model.into_inner().last_refusal.context("a refusal")?;
    assert_ne!(refusal.checkpoint_id, id);

    let metrics = http::get(sandbox.inference()?.admin(), "/metrics")?;
    for reason in ["digest", "size", "not_finite", "exam", "format"] {
        let series =
            format!("digits_inference_refusals_total{{model=\"digits\",reason=\"{reason}\"}} 1");
        assert!(metrics.contains(&series), "{series} is not in\n{metrics}");
    }
    sandbox.stop().await
}

#[tokio::test]
async fn a_new_replica_serves_the_newest_good_checkpoint_despite_a_bad_head() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    let job = jobs::run(&mut training, specs::synthetic(1)).await?;
    damage::republish(&sandbox, flip_a_bit)?;

    sandbox.start_inference(&[]).await?;
    let mut client = sandbox.predict().await?;
    let model = until("a served checkpoint", async || {
        let model = client
            .get_model(GetModelRequest::default())
            .await?
            .into_inner();
        Ok((!model.served.is_empty()).then_some(model))
    })
    .await?;
    assert_eq!(model.behind_head, 1);
    let served = model.served[0]
        .checkpoint
        .as_ref()
        .context("a checkpoint")?;
    assert_eq!(Some(&served.checkpoint_id), job.checkpoint_ids.last());
    sandbox.stop().await
}
