//! `deploy/METRICS.md` lists exactly the metrics that the running services export.

use crate::support::{
    http,
    metric_names::{OF_A_GPU, PUSHED, documented},
    prometheus,
};
use anyhow::{Context as _, Result};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{
    EncodedPictures, GetModelRequest, JobSpec, PredictRequest, ReportOutcomeRequest,
    predict_request::Images,
};
use digits_testing::{patience, until};
use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

/// Metrics of the process, from both services.
const PROCESS: &str = "process_";

/// Metric → type, from an exposition.
fn exported(exposition: &str, prefix: &str) -> BTreeMap<String, String> {
    let types = exposition
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let pairs = types.filter_map(|line| line.split_once(' '));
    let ours = pairs.filter(|(name, _)| name.starts_with(prefix));
    ours.map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

#[tokio::test]
async fn the_page_lists_exactly_the_exported_metrics() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;
    let mut training = sandbox.training().await?;
    // A gauge that is never set has no series.
    let spec = JobSpec {
        calibrate: Some(true),
        ..specs::synthetic(2)
    };
    jobs::run(&mut training, spec).await?;

    let mut client = sandbox.predict().await?;
    let request = |images| PredictRequest {
        images: Some(images),
        ..PredictRequest::default()
    };
    until("an answer", async || {
        Ok(client
            .predict(request(Images::Pixels(vec![0; 784].into())))
            .await
            .ok())
    })
    .await?;
    let blank = image_of_nothing();
    let pictures = EncodedPictures {
        encoded: vec![blank.into()],
    };
    client.predict(request(Images::Pictures(pictures))).await?;
    client
        .predict(request(Images::Pixels(vec![0; 3].into())))
        .await
        .expect_err("refused");
    let model = client
        .get_model(GetModelRequest::default())
        .await?
        .into_inner();
    let outcome = ReportOutcomeRequest {
        sequence: model.served.first().context("served")?.sequence,
        predicted_label_index: 1,
        true_label_index: 7,
        ..ReportOutcomeRequest::default()
    };
    client.report_outcome(outcome).await?;
    damage_the_head(&sandbox, &mut client).await?;

    for (address, prefix) in [
        (sandbox.trainer()?.admin(), "digits_trainer_"),
        (sandbox.inference()?.admin(), "digits_inference_"),
    ] {
        let exposition = http::get(address, "/metrics")?;
        let mut page = documented(prefix)?;
        let mut exported_names = exported(&exposition, prefix);
        exported_names.retain(|name, _| page.get(name).is_none_or(|kind| kind != OF_A_GPU));
        // Pushed metrics are checked by `watching`, GPU metrics by a unit test of the trainer.
        page.retain(|_, kind| kind != PUSHED && kind != OF_A_GPU);
        assert_eq!(exported_names, page, "{prefix}");
        let process = documented(PROCESS)?;
        assert!(!process.is_empty());
        assert_eq!(exported(&exposition, PROCESS), process, "{prefix}");
        for name in page.keys() {
            let help = format!("# HELP {name} ");
            assert!(exposition.contains(&help), "{name} has no description");
        }
        lint(&exposition)?;
    }
    sandbox.stop().await
}

/// The findings of `promtool` on names, types and descriptions.
fn lint(exposition: &str) -> Result<()> {
    let Some(promtool) =
        prometheus::program("promtool", "the_page_lists_exactly_the_exported_metrics")
    else {
        return Ok(());
    };
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("a pipe")?;
    input.write_all(exposition.as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn image_of_nothing() -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    image::GrayImage::from_pixel(64, 64, image::Luma([255]))
        .write_to(&mut out, image::ImageFormat::Png)
        .expect("encoding into memory");
    out.into_inner()
}

/// Publishes a record that names a checkpoint whose weights do not match its manifest, and waits
/// until it is refused.
async fn damage_the_head(
    sandbox: &Sandbox,
    client: &mut digits_proto::v1::inference_service_client::InferenceServiceClient<
        tonic::transport::Channel,
    >,
) -> Result<()> {
    let damaged = crate::support::damage::republish(sandbox, |files| {
        if let Some(byte) = files.model.last_mut() {
            *byte ^= 1;
        }
    })?;
    until("the refusal", async || {
        let model = client
            .get_model(GetModelRequest::default())
            .await?
            .into_inner();
        Ok(model
            .last_refusal
            .filter(|refusal| refusal.checkpoint_id == damaged))
    })
    .await?;
    Ok(())
}
