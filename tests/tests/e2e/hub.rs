//! The model card of a checkpoint, and its folder for the Hugging Face hub: loaded by PyTorch,
//! onnxruntime and the hub's own library.

use crate::support::command_line::{digits, json, python};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{Activation, JobSpec};
use digits_testing::patience;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn examine(python: &Path, hub: &Path, checkpoint: &Path) -> Result<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/hub_exam.py");
    let output = Command::new(python)
        .arg(script)
        .args([hub, checkpoint])
        .output()?;
    ensure!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn spec(activation: Activation) -> JobSpec {
    let mut spec = specs::synthetic(2);
    if let Some(architecture) = &mut spec.architecture {
        architecture.activation = activation.into();
    }
    spec
}

#[tokio::test]
async fn a_folder_for_the_hub_is_loaded_by_pytorch_and_onnxruntime() -> Result<()> {
    let modules = "torch, safetensors, onnxruntime, huggingface_hub";
    let name = "a_folder_for_the_hub_is_loaded_by_pytorch_and_onnxruntime";
    let Some(python) = python(name, modules) else {
        return Ok(());
    };
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    let checkpoints = sandbox.dir().join("storage/checkpoints");
    let export = async |id: &str, hub: &PathBuf| {
        let path = hub.display().to_string();
        json(&sandbox, 0, &["export", id, "--hub", &path])?;
        let answer = examine(&python, hub, &checkpoints.join(id))?;
        for difference in ["torch_difference", "onnx_difference"] {
            let difference = answer[difference].as_f64().context("a number")?;
            ensure!(difference < 1e-5, "{answer}");
        }
        ensure!(answer["labels"][9] == "9", "{answer}");
        anyhow::Ok(answer)
    };
    for activation in [Activation::LeakyRelu, Activation::ScaledTanh] {
        let job = jobs::run(&mut training, spec(activation)).await?;
        let id = job.checkpoint_ids.last().context("a checkpoint")?;
        let hub = sandbox.dir().join(format!("hub-{id}"));
        let answer = export(id, &hub).await?;
        assert_eq!(answer["pipeline_tag"], "image-classification");
        let accuracy = job.test.context("a test")?.accuracy;
        assert_eq!(answer["test_accuracy"].as_f64(), Some(accuracy));
        let card = fs::read_to_string(hub.join("README.md"))?;
        for part in [
            "## Data",
            "## Training",
            "## Curves",
            "## Results",
            "## Limits",
        ] {
            assert!(card.contains(part), "{part} in {card}");
        }
        let printed = digits(&sandbox, &["card", id])?;
        assert_eq!(String::from_utf8(printed.stdout)?, card);
        // What is in the folder may be another model.
        let path = hub.display().to_string();
        let refused = digits(&sandbox, &["export", id, "--hub", &path])?;
        let errors = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(73), "{errors}");
        assert!(
            errors.contains("is not empty: name another folder"),
            "{errors}"
        );
        // A network without a job, with a temperature of its own.
        if activation == Activation::LeakyRelu {
            let weights = hub.join("model.safetensors").display().to_string();
            let import = [
                "import",
                &weights,
                "--activation",
                "leaky-relu",
                "--temperature",
                "1.7",
            ];
            let (document, _) = json(&sandbox, 0, &import)?;
            let id = document["checkpoint"]["checkpoint_id"].as_str();
            let id = id.context("an id")?;
            let hub = sandbox.dir().join("hub-imported");
            export(id, &hub).await?;
            let card = fs::read_to_string(hub.join("README.md"))?;
            assert!(
                card.contains("## Origin") && !card.contains("## Curves"),
                "{card}"
            );
        }
    }
    sandbox.stop().await
}
