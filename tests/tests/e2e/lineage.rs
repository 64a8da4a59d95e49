//! Export, import and reproduction by the command line: ONNX against onnxruntime, a state dict
//! exported and imported again, and identical weights from the same lineage.

use crate::support::command_line::{digits, json, python};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{Activation, DataSpec, JobSpec, Precision, PublishPolicy, PublishSpec};
use digits_testing::patience;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn folder(sandbox: &Sandbox, checkpoint: &str) -> PathBuf {
    sandbox.dir().join("storage/checkpoints").join(checkpoint)
}

/// A quick job with this activation.
fn spec(activation: Activation) -> JobSpec {
    let mut spec = specs::synthetic(2);
    if let Some(architecture) = &mut spec.architecture {
        architecture.activation = activation.into();
    }
    spec
}

/// Onnxruntime's answers of an exported model.
fn examine(python: &Path, model: &Path, checkpoint: &Path) -> Result<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/onnx_exam.py");
    let output = Command::new(python)
        .arg(script)
        .args([model, checkpoint])
        .output()?;
    ensure!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[tokio::test]
async fn onnxruntime_passes_the_exam() -> Result<()> {
    let Some(python) = python("onnxruntime_passes_the_exam", "onnxruntime, safetensors") else {
        return Ok(());
    };
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    let scaled = spec(Activation::ScaledTanh);
    let normalized = JobSpec {
        data: scaled.data.clone().map(|data| DataSpec {
            mean: Some(0.1307),
            std: Some(0.3081),
            ..data
        }),
        ..scaled
    };
    let cases = [
        (spec(Activation::Relu), "uint8"),
        (spec(Activation::Gelu), "float32"),
        (spec(Activation::Tanh), "uint8"),
        (spec(Activation::Sigmoid), "uint8"),
        (spec(Activation::LeakyRelu), "uint8"),
        (normalized, "uint8"),
    ];
    for (spec, input) in cases {
        let job = jobs::run(&mut training, spec).await?;
        let id = job.checkpoint_ids.last().context("a checkpoint")?;
        let model = sandbox.dir().join("model.onnx");
        let path = model.display().to_string();
        let arguments = ["export", id, "--onnx", "--input", input, "-o", &path];
        let (document, _) = json(&sandbox, 0, &arguments)?;
        assert_eq!(document["size_bytes"], fs::metadata(&model)?.len());
        let answer = examine(&python, &model, &folder(&sandbox, id))?;
        let difference = answer["probability_difference"]
            .as_f64()
            .context("a number")?;
        assert!(difference < 1e-5, "{answer}");
        assert_eq!(answer["labels"][9], "9");
        println!("{input}: {answer}");
    }

    // A network with a temperature of its own.
    let weights = sandbox.dir().join("weights.safetensors");
    let path = weights.display().to_string();
    let last = jobs::run(&mut training, spec(Activation::Relu)).await?;
    let id = last.checkpoint_ids.last().context("a checkpoint")?;
    json(&sandbox, 0, &["export", id, "--safetensors", "-o", &path])?;
    let (document, _) = json(&sandbox, 0, &["import", &path, "--temperature", "1.7"])?;
    let id = document["checkpoint"]["checkpoint_id"]
        .as_str()
        .context("an id")?;
    let model = sandbox.dir().join("cool.onnx");
    let path = model.display().to_string();
    json(&sandbox, 0, &["export", id, "--onnx", "-o", &path])?;
    let answer = examine(&python, &model, &folder(&sandbox, id))?;
    assert!(
        answer["probability_difference"]
            .as_f64()
            .context("a number")?
            < 1e-5,
        "{answer}"
    );
    sandbox.stop().await
}

#[tokio::test]
async fn exported_weights_can_be_imported() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    let job = jobs::run(&mut training, spec(Activation::Gelu)).await?;
    let id = job.checkpoint_ids.last().context("a checkpoint")?;
    let file = sandbox.dir().join("weights.safetensors");
    let path = file.display().to_string();
    let (document, _) = json(&sandbox, 0, &["export", id, "--safetensors", "-o", &path])?;
    let original = fs::read(folder(&sandbox, id).join("model.safetensors"))?;
    assert_eq!(fs::read(&file)?, original);

    let import = ["import", &path, "--activation", "gelu", "--promote"];
    let (imported, _) = json(&sandbox, 0, &import)?;
    let checkpoint = &imported["checkpoint"];
    assert_eq!(checkpoint["weights_sha256"], document["sha256"]);
    assert_eq!(checkpoint["lineage"]["imported_sha256"], document["sha256"]);
    assert_eq!(imported["record"]["hold"], true);
    let served = &imported["record"]["routes"][0]["checkpoint_id"];
    assert_eq!(served, &checkpoint["checkpoint_id"]);

    // A byte of the original is changed: a damaged checkpoint is not exported.
    let model = folder(&sandbox, id).join("model.safetensors");
    let mut bytes = original;
    *bytes.last_mut().context("bytes")? ^= 1;
    fs::write(&model, bytes)?;
    for format in ["--safetensors", "--onnx"] {
        let refused = digits(&sandbox, &["export", id, format, "-o", &path])?;
        let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(66), "{stderr}");
        assert!(stderr.contains("SHA-256"), "{stderr}");
    }
    sandbox.stop().await
}

#[tokio::test]
async fn a_checkpoint_is_reproduced_byte_for_byte() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    // One in the middle of a job that publishes every epoch, and one that started from it.
    let parent = jobs::run(&mut training, specs::synthetic(3)).await?;
    let first = &parent.checkpoint_ids[0];
    let child = JobSpec {
        init_from: Some(first.clone()),
        publish: Some(PublishSpec {
            policy: PublishPolicy::Final.into(),
        }),
        precision: Precision::Bfloat16.into(),
        ..specs::synthetic(2)
    };
    let child = jobs::run(&mut training, child).await?;
    for id in [first, &child.checkpoint_ids[0]] {
        let (document, _) = json(&sandbox, 0, &["reproduce", id])?;
        assert_eq!(document["equal"], true, "{document}");
        assert_eq!(document["differences"], serde_json::json!([]));
        let (original, again) = (&document["original"], &document["reproduced"]);
        assert_eq!(original["weights_sha256"], again["weights_sha256"]);
        assert_ne!(original["checkpoint_id"], again["checkpoint_id"]);
        assert_eq!(again["lineage"]["epoch"], original["lineage"]["epoch"]);
        let precision = |it: &Value| it["lineage"]["spec"]["precision"].clone();
        assert_eq!(precision(again), precision(original));
        let bfloat16 = precision(again) == "PRECISION_BFLOAT16";
        assert_eq!(bfloat16, id != first, "{again}");
    }

    // A manifest that claims another libtorch and another seed than its weights come from.
    let id = &parent.checkpoint_ids[1];
    let manifest = folder(&sandbox, id).join("manifest.json");
    let mut document: Value = serde_json::from_slice(&fs::read(&manifest)?)?;
    let bytes = document["lineage"]["spec_protobuf"]
        .as_str()
        .context("a spec")?;
    // Field 16, the seed, is 3: as bytes 0x80 0x01 0x03.
    ensure!(bytes.matches("800103").count() == 1, "{bytes}");
    document["lineage"]["spec_protobuf"] = bytes.replace("800103", "800104").into();
    document["lineage"]["libtorch_version"] = "1.0.0".into();
    fs::write(&manifest, document.to_string())?;
    let (document, _) = json(&sandbox, 1, &["reproduce", id])?;
    assert_eq!(document["equal"], false);
    assert_eq!(document["differences"][0]["what"], "libtorch version");
    assert_eq!(document["differences"][0]["original"], "1.0.0");

    let weights = folder(&sandbox, first).join("model.safetensors");
    let (imported, _) = json(&sandbox, 0, &["import", &weights.display().to_string()])?;
    let id = imported["checkpoint"]["checkpoint_id"]
        .as_str()
        .context("an id")?;
    let refused = digits(&sandbox, &["reproduce", id])?;
    assert_eq!(refused.status.code(), Some(1));
    sandbox.stop().await
}
