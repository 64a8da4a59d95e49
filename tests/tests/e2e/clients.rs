//! Clients of the running services: the command line, Python, Rust, and a client that uses
//! reflection.

use crate::support::{command_line, mnist, python_package, served::served_pair};
use anyhow::{Context as _, Result};
use digits_e2e::sandbox::Sandbox;
use digits_proto::v1::{PredictRequest, predict_request::Images};
use digits_testing::{patience, skip, until};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// `digits` with both services' addresses.
fn digits(sandbox: &Sandbox, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(sandbox.binary("digits"));
    command
        .args(arguments)
        .env("DIGITS_TRAINER", sandbox.trainer()?.grpc())
        .env("DIGITS_INFERENCE", sandbox.inference()?.grpc());
    Ok(command.output()?)
}

/// Runs a command that must succeed.
fn good(sandbox: &Sandbox, arguments: &[&str]) -> Result<String> {
    let output = digits(sandbox, arguments)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success(),
        "digits {arguments:?}: {}\n{errors}",
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The documents that a command prints with `--json`, one a line or a whole one.
fn json(sandbox: &Sandbox, arguments: &[&str]) -> Result<Vec<Value>> {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    let text = good(sandbox, &arguments)?;
    let documents = serde_json::Deserializer::from_str(&text).into_iter();
    let documents: Vec<Value> = documents
        .collect::<Result<_, _>>()
        .with_context(|| format!("{arguments:?}: {text}"))?;
    anyhow::ensure!(!documents.is_empty(), "{arguments:?} printed nothing");
    Ok(documents)
}

/// A PNG of a vertical stroke on paper.
fn stroke(sandbox: &Sandbox) -> Result<PathBuf> {
    let picture = sandbox.dir().join("one.png");
    image::GrayImage::from_fn(120, 160, |x, y| {
        image::Luma([if (55..68).contains(&x) && (20..140).contains(&y) {
            20
        } else {
            250
        }])
    })
    .save(&picture)?;
    Ok(picture)
}

/// A PNG of the first four of MNIST's test images beside each other, dark on light.
fn number(sandbox: &Sandbox, images: &[u8]) -> Result<String> {
    let picture = sandbox.dir().join("number.png").display().to_string();
    image::GrayImage::from_fn(4 * 56, 56, |x, y| {
        let (image, column, row) = (x / 56, x % 56 / 2, y / 2);
        image::Luma([255 - images[(784 * image + 28 * row + column) as usize]])
    })
    .save(&picture)?;
    Ok(picture)
}

#[tokio::test]
async fn every_command_works_and_prints_json() -> Result<()> {
    let (sandbox, job) = served_pair(&[]).await?;
    let picture = stroke(&sandbox)?.display().to_string();
    let curves = sandbox.dir().join("curves.svg").display().to_string();
    let commands: [&[&str]; 10] = [
        &[
            "train",
            "--dataset",
            "synthetic",
            "--synthetic-train",
            "600",
            "--train-count",
            "500",
            "--validation-count",
            "100",
            "--epochs",
            "1",
        ],
        &["jobs"],
        &["jobs", &job],
        &["watch", &job],
        &["cancel", &job],
        &["predict", &picture],
        &["model"],
        &["checkpoints"],
        &["presets"],
        &["plot", &job, "-o", &curves],
    ];
    for command in commands {
        assert!(!good(&sandbox, command)?.is_empty(), "{command:?}");
        json(&sandbox, command)?;
    }
    assert!(std::fs::read_to_string(&curves)?.starts_with("<"), "an SVG");
    let png = sandbox.dir().join("curves.png");
    good(&sandbox, &["plot", &job, "-o", &png.display().to_string()])?;
    assert!(image::open(&png)?.width() > 300);

    let failed = digits(&sandbox, &["train", "--epochs", "0"])?;
    assert!(!failed.status.success());
    assert!(
        String::from_utf8_lossy(&failed.stderr).contains("epochs"),
        "{failed:?}"
    );
    sandbox.stop().await
}

#[tokio::test]
async fn first_test_image_is_a_seven_on_the_command_line_and_in_python() -> Result<()> {
    let name = "first_test_image_is_a_seven_on_the_command_line_and_in_python";
    let Some(dataset) = mnist::for_test(name) else {
        return Ok(());
    };
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;
    good(&sandbox, &["train", "--preset", "notebook"])?;
    let mut client = sandbox.predict().await?;
    until("a seven", async || {
        let images = Some(Images::Pixels(
            dataset.test.images.pixels[..784].to_vec().into(),
        ));
        let answer = client
            .predict(PredictRequest {
                images,
                ..Default::default()
            })
            .await;
        Ok(answer
            .ok()
            .filter(|answer| answer.get_ref().predictions[0].label == "7"))
    })
    .await?;
    let drawn = good(&sandbox, &["predict", "mnist:test/0"])?;
    assert!(drawn.contains('7') && drawn.lines().count() > 14, "{drawn}");
    let number = number(&sandbox, &dataset.test.images.pixels)?;
    let read = good(&sandbox, &["predict", &number])?;
    assert!(read.contains("number: 7210"), "{read}");
    let measured = &json(&sandbox, &["evaluate", "mnist:test"])?[0];
    assert_eq!(measured["correct"], 8_997, "{measured}");

    let image = sandbox.dir().join("image");
    std::fs::write(&image, &dataset.test.images.pixels[..784])?;
    let by_rust = readme_in_rust(&sandbox, &image)?;
    let version = by_rust
        .strip_prefix("7 by version ")
        .context("a seven")?
        .trim();
    let address = sandbox.inference()?.grpc().replace("http://", "");
    let Some(python) = command_line::python(name, "tritonclient.grpc, tritonclient.http") else {
        return sandbox.stop().await;
    };
    let images = sandbox.dir().join("images");
    let mut file = vec![0, 0, 8, 3];
    for size in [2_u32, 28, 28] {
        file.extend(size.to_be_bytes());
    }
    file.extend(&dataset.test.images.pixels[..2 * 784]);
    std::fs::write(&images, file)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/open_inference.py");
    let triton = printed(
        Command::new(python)
            .arg(script)
            .arg(&address)
            .arg(&images)
            .arg("2"),
    )?;
    let triton: Value = serde_json::from_str(&triton)?;
    assert_eq!(triton["labels"], serde_json::json!(["7", "2"]));
    assert_eq!(triton["version"], version, "{triton}");
    assert_eq!(triton["clients"], serde_json::json!(["grpc", "http"]));
    for python in python_package::pythons(name) {
        let by_python = readme_in_python(&python, &sandbox, &dataset.test.images.pixels)?;
        assert!(by_python.starts_with(&by_rust), "{by_python}");
    }
    sandbox.stop().await
}

/// The lines of the README's one block in a language.
fn readme_block(language: &str) -> Result<&'static str> {
    let readme = include_str!("../../../README.md");
    let (_, block) = readme
        .split_once(&format!("```{language}\n"))
        .context("the README has no such block")?;
    Ok(block.split("```").next().unwrap_or_default())
}

fn printed(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs the example, whose lines the README has.
fn readme_in_rust(sandbox: &Sandbox, image: &Path) -> Result<String> {
    let mut lines = include_str!("../../examples/client.rs")
        .lines()
        .map(str::trim);
    for line in readme_block("rust")?.lines().map(str::trim) {
        anyhow::ensure!(lines.any(|it| it == line), "not in the example: {line}");
    }
    let tests = std::env::current_exe()?;
    let target = tests.ancestors().nth(2).context("the build's folder")?;
    let client = target.join("examples/client");
    // `cargo test --test e2e` alone does not build it.
    anyhow::ensure!(
        client.exists(),
        "run `cargo build -p digits-e2e --examples`"
    );
    printed(
        Command::new(client)
            .arg(sandbox.inference()?.grpc())
            .arg(image),
    )
}

/// Runs the README's lines, with the sandbox's addresses and a picture of the first image.
fn readme_in_python(python: &Path, sandbox: &Sandbox, images: &[u8]) -> Result<String> {
    image::GrayImage::from_fn(56, 56, |x, y| {
        image::Luma([255 - images[(28 * (y / 2) + x / 2) as usize]])
    })
    .save(sandbox.dir().join("seven.png"))?;
    let block = readme_block("python")?
        .replace("localhost:50052", &sandbox.inference()?.grpc())
        .replace("localhost:50051", &sandbox.trainer()?.grpc());
    let mut command = python_package::command(python);
    printed(command.arg("-c").arg(block).current_dir(sandbox.dir()))
}

/// As grpcurl does it: the messages come from the services, by reflection.
#[tokio::test]
async fn a_client_without_protos_predicts_by_reflection() -> Result<()> {
    let name = "a_client_without_protos_predicts_by_reflection";
    let named = std::env::var_os("DIGITS_BUF").map(PathBuf::from);
    let Some(buf) = named.filter(|program| program.is_file()) else {
        skip(
            name,
            "buf is missing: `make test-pair` fetches it, or DIGITS_BUF names it",
        );
        return Ok(());
    };
    let (sandbox, _) = served_pair(&[]).await?;
    let curl = |arguments: &[&str]| -> Result<String> {
        let output = Command::new(&buf)
            .args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"])
            .args(arguments)
            .current_dir(sandbox.dir())
            .env("XDG_CACHE_HOME", sandbox.dir())
            .output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "buf curl {arguments:?}: {errors}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let trainer = curl(&["--list-methods", &sandbox.trainer()?.grpc()])?;
    for method in ["TrainingService/SubmitJob", "CheckpointService/Rollback"] {
        assert!(
            trainer.contains(&format!("digits.v1.{method}")),
            "{trainer}"
        );
    }
    assert!(
        !trainer.contains("InferenceService"),
        "not served there: {trainer}"
    );
    let picture = stroke(&sandbox)?;
    let encoded = Command::new("base64").arg("-w0").arg(&picture).output()?;
    let encoded = String::from_utf8(encoded.stdout)?;
    let request = serde_json::json!({"pictures": {"encoded": [encoded]}}).to_string();
    let url = format!(
        "{}/digits.v1.InferenceService/Predict",
        sandbox.inference()?.grpc()
    );
    let answer: Value = serde_json::from_str(&curl(&["--data", &request, &url])?)?;
    let ours = &json(&sandbox, &["predict", &picture.display().to_string()])?[0];
    let label = &answer["predictions"][0]["label"];
    assert!(
        label.is_string() && *label == ours["prediction"]["label"],
        "{answer} {ours}"
    );
    sandbox.stop().await
}
