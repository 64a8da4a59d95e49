//! Networks that were trained elsewhere, imported by the command line: under settings that are not
//! theirs, and as PyTorch scripts save them.

use crate::support::{
    command_line::{digits, json, python},
    mnist,
};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox};
use digits_proto::v1::{Activation, ArchitectureSpec, DataSpec, HiddenLayers, JobSpec};
use digits_testing::patience;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

fn accuracy(of: &Value) -> f64 {
    of["accuracy"].as_f64().unwrap_or(f64::NAN)
}

/// One epoch on MNIST.
fn job(model: &str, architecture: ArchitectureSpec, normalized: bool) -> JobSpec {
    JobSpec {
        preset: "fast".to_owned(),
        model: Some(model.to_owned()),
        architecture: Some(architecture),
        data: normalized.then(|| DataSpec {
            mean: Some(0.1307),
            std: Some(0.3081),
            ..DataSpec::default()
        }),
        epochs: Some(1),
        ..JobSpec::default()
    }
}

#[tokio::test]
async fn a_network_under_wrong_settings_does_not_replace_a_better_one() -> Result<()> {
    let name = "a_network_under_wrong_settings_does_not_replace_a_better_one";
    if mnist::for_test(name).is_none() {
        return Ok(());
    }
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    let small = ArchitectureSpec {
        hidden: Some(HiddenLayers { widths: vec![24] }),
        activation: Activation::Tanh.into(),
        ..ArchitectureSpec::default()
    };
    let better = job("digits", ArchitectureSpec::default(), false);
    let serving = jobs::run(&mut training, better).await?;
    let serving = serving.checkpoint_ids.last().context("a checkpoint")?;
    let elsewhere = jobs::run(&mut training, job("elsewhere", small, true)).await?;
    let elsewhere = elsewhere.checkpoint_ids.last().context("a checkpoint")?;
    let (trained, _) = json(&sandbox, 0, &["checkpoints", elsewhere])?;
    let file = sandbox.dir().join("tanh.safetensors");
    let path = file.display().to_string();
    json(
        &sandbox,
        0,
        &["export", elsewhere, "--safetensors", "-o", &path],
    )?;

    let (document, errors) = json(&sandbox, 1, &["import", &path, "--promote"])?;
    println!("{errors}");
    let measured = &document["measurement"];
    assert_eq!(measured["dataset"], "mnist");
    assert_eq!(measured["served_checkpoint_id"], **serving);
    let given = accuracy(&measured["evaluation"]);
    let best = accuracy(&measured["best_evaluation"]);
    assert!(given < best - 0.02, "{measured}");
    assert_eq!(best, accuracy(&trained["test"]), "{measured}");
    assert_eq!(document["record"], Value::Null);
    for part in [
        "--mean 0.1307 --std 0.3081 --activation tanh its accuracy is",
        "imported and not promoted: its accuracy on mnist is",
        &format!("{:.2} %", given * 100.0),
        &format!("{:.2} %", accuracy(&measured["served"]) * 100.0),
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    let (records, _) = json(&sandbox, 0, &["serving"])?;
    let served = &records["records"][0]["routes"][0]["checkpoint_id"];
    assert_eq!(served, &Value::from(serving.as_str()));

    let settings = [
        "import",
        &path,
        "--mean",
        "0.1307",
        "--std",
        "0.3081",
        "--activation",
        "tanh",
    ];
    let (document, errors) = json(&sandbox, 0, &settings)?;
    assert!(!errors.contains("warning"), "{errors}");
    let right = accuracy(&document["measurement"]["evaluation"]);
    assert_eq!(right, accuracy(&trained["test"]));
    let (document, _) = json(&sandbox, 0, &["import", &path, "--promote", "--force"])?;
    assert_eq!(document["record"]["hold"], true);
    sandbox.stop().await
}

fn script(python: &Path, arguments: &[&Path]) -> Result<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/foreign_networks.py");
    let output = Command::new(python).arg(script).args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{text}{errors}");
    Ok(text)
}

/// Each network of the script is imported, and its exam holds PyTorch's answers.
#[tokio::test]
async fn networks_of_pytorch_scripts_are_imported_with_their_answers() -> Result<()> {
    let name = "networks_of_pytorch_scripts_are_imported_with_their_answers";
    let Some(python) = python(name, "torch, safetensors.torch") else {
        return Ok(());
    };
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let folder = sandbox.dir().join("networks");
    std::fs::create_dir(&folder)?;
    let written: Value = serde_json::from_str(&script(&python, &[&folder])?)?;
    let mut imported = Vec::new();
    for network in written["networks"].as_array().context("networks")? {
        let name = network["name"].as_str().context("a name")?;
        let file = folder.join(format!("{name}.safetensors"));
        let file = file.display().to_string();
        let flags = network["flags"].as_array().context("flags")?;
        let flags = flags.iter().filter_map(Value::as_str);
        let arguments: Vec<&str> = ["import", &file].into_iter().chain(flags).collect();
        let (document, _) = json(&sandbox, 0, &arguments)?;
        let id = document["checkpoint"]["checkpoint_id"]
            .as_str()
            .context("an id")?;
        let notes = document["notes"].to_string();
        let note = network["note"].as_str().context("a note")?;
        assert!(notes.contains(note), "{name}: {notes}");
        imported.push(sandbox.dir().join("storage/checkpoints").join(id));
    }
    // In the same order: compares PyTorch's logits with those of the exams.
    let folders: Vec<&Path> = std::iter::once(folder.as_path())
        .chain(imported.iter().map(PathBuf::as_path))
        .collect();
    println!("{}", script(&python, &folders)?);

    for foreign in written["foreign"].as_array().context("files")? {
        let file = folder.join(foreign["name"].as_str().context("a name")?);
        let refused = digits(&sandbox, &["import", &file.display().to_string()])?;
        let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(64), "{errors}");
        let part = foreign["part"].as_str().context("a part")?;
        assert!(errors.contains(part), "{errors}");
        // What the message says to run.
        let lines: Vec<&str> = errors
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("import ") || line.starts_with("safetensors."))
            .collect();
        if foreign["converts"] == true {
            let converted = file.with_extension("safetensors").display().to_string();
            let code = lines
                .join("\n")
                .replace("FILE.pth", &file.display().to_string())
                .replace("FILE.pt", &file.display().to_string())
                .replace("FILE.npz", &file.display().to_string())
                .replace("FILE.safetensors", &converted);
            let output = Command::new(&python).args(["-c", &code]).output()?;
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{code}\n{errors}");
            json(&sandbox, 0, &["import", &converted])?;
        }
    }
    sandbox.stop().await
}
