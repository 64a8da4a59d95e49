//! Plain HTTP with JSON: curl, buf, and the clients of Connect for Node and browsers, as
//! docs/clients.md has them.

use crate::support::{browser::Script, command_line, http, served::served_pair};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::sandbox::Sandbox;
use digits_testing::skip;
use serde_json::Value;
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

const DOCUMENTATION: &str = include_str!("../../../docs/clients.md");

/// What an environment variable names, if it is there; otherwise the test is skipped.
fn named(test: &str, variable: &str, what: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).map(PathBuf::from);
    let path = path.filter(|path| path.exists());
    if path.is_none() {
        let reason =
            format!("{what} is missing: `make test-pair` fetches it, or {variable} names it");
        skip(test, &reason);
    }
    path
}

/// The first program on the path with this name; otherwise the test is skipped.
fn program(test: &str, name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(name));
    let found = found.into_iter().find(|program| program.is_file());
    if found.is_none() {
        skip(test, &format!("{name} is missing"));
    }
    found
}

fn printed(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The block of the documentation that has these words.
fn documented(words: &str) -> Result<&'static str> {
    let mut blocks = DOCUMENTATION.split("```").skip(1).step_by(2);
    let block = blocks.find(|block| block.contains(words));
    let (_, lines) = block
        .context("no such block")?
        .split_once('\n')
        .context("lines")?;
    Ok(lines)
}

/// A PNG of a vertical stroke on paper, as `seven.png`.
fn picture(sandbox: &Sandbox) -> Result<PathBuf> {
    let picture = sandbox.dir().join("seven.png");
    let ink = |x, y| (55..68).contains(&x) && (20..140).contains(&y);
    image::GrayImage::from_fn(120, 160, |x, y| {
        image::Luma([if ink(x, y) { 20 } else { 250 }])
    })
    .save(&picture)?;
    Ok(picture)
}

/// `lines` with the addresses of the sandbox.
fn addressed(sandbox: &Sandbox, lines: &str) -> Result<String> {
    let address = |grpc: String| grpc.replace("http://", "");
    Ok(lines
        .replace("localhost:50052", &address(sandbox.inference()?.grpc()))
        .replace("localhost:50051", &address(sandbox.trainer()?.grpc())))
}

#[tokio::test]
async fn curl_is_a_client() -> Result<()> {
    let name = "curl_is_a_client";
    if program(name, "curl").is_none() {
        return Ok(());
    }
    let (sandbox, job) = served_pair(&[]).await?;
    picture(&sandbox)?;
    let run = |words: &str| -> Result<String> {
        let lines = addressed(&sandbox, documented(words)?)?;
        let script = format!("set -euo pipefail\n{lines}");
        printed(
            Command::new("bash")
                .arg("-c")
                .arg(script)
                .current_dir(sandbox.dir()),
        )
    };
    let answers = run("--data-binary @seven.png")?;
    let (json, text) = answers.rsplit_once('}').context("JSON, and text")?;
    let json: Value = serde_json::from_str(&format!("{json}}}"))?;
    let label = json["predictions"][0]["label"]
        .as_str()
        .context("a label")?;
    assert_eq!(text.trim(), label);
    let answers = run("TrainingService/ListJobs")?;
    let documents = serde_json::Deserializer::from_str(&answers).into_iter();
    let documents: Vec<Value> = documents.collect::<Result<_, _>>()?;
    assert_eq!(documents[0]["predictions"][0]["label"], label);
    assert_eq!(documents[1]["jobs"][0]["jobId"], job);
    sandbox.stop().await
}

#[tokio::test]
async fn buf_speaks_the_connect_protocol() -> Result<()> {
    let name = "buf_speaks_the_connect_protocol";
    let Some(buf) = named(name, "DIGITS_BUF", "buf") else {
        return Ok(());
    };
    let (sandbox, job) = served_pair(&[]).await?;
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    let curl = |arguments: &[&str], request: &str, url: String| {
        let mut command = Command::new(&buf);
        command
            .args(["curl", "--protocol", "connect"])
            .args(arguments)
            .args(["--data", request, &url])
            .current_dir(sandbox.dir())
            .env("XDG_CACHE_HOME", sandbox.dir());
        command.output()
    };
    let protos = protos.display().to_string();
    let inference = sandbox.inference()?.grpc();
    let watch = format!(
        "{}/digits.v1.TrainingService/WatchJob",
        sandbox.trainer()?.grpc()
    );
    let watched = serde_json::json!({ "jobId": job }).to_string();
    // By HTTP/1.1 with the protos, and by HTTP/2 with reflection, a stream of Connect too.
    for arguments in [&["--schema", &protos][..], &["--http2-prior-knowledge"]] {
        let model = format!("{inference}/digits.v1.InferenceService/GetModel");
        let answer = curl(arguments, "{}", model)?;
        let errors = String::from_utf8_lossy(&answer.stderr);
        ensure!(answer.status.success(), "{arguments:?}: {errors}");
        let answer: Value = serde_json::from_slice(&answer.stdout)?;
        assert_eq!(answer["model"], "digits");
        let events = curl(arguments, &watched, watch.clone())?;
        let events = String::from_utf8(events.stdout)?;
        assert!(events.contains("\"finished\""), "{events}");
        let predict = format!("{inference}/digits.v1.InferenceService/Predict");
        let refused = curl(arguments, r#"{"pixels": "AAAA"}"#, predict)?;
        let refused = String::from_utf8(refused.stderr)?;
        for part in ["invalid_argument", "google.rpc.BadRequest", "784"] {
            assert!(refused.contains(part), "{refused}");
        }
    }
    sandbox.stop().await
}

/// A folder with the packages of npm and the messages in JavaScript.
fn javascript(test: &str, sandbox: &Sandbox) -> Result<Option<PathBuf>> {
    let buf = named(test, "DIGITS_BUF", "buf");
    let packages = named(test, "DIGITS_CONNECT", "the folder of Connect's packages");
    let (Some(buf), Some(packages), Some(_)) = (buf, packages, program(test, "node")) else {
        return Ok(None);
    };
    let folder = sandbox.dir().join("javascript");
    std::fs::create_dir_all(&folder)?;
    std::os::unix::fs::symlink(&packages, folder.join("node_modules"))?;
    let path = env::var("PATH").unwrap_or_default();
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    printed(
        Command::new(buf)
            .args(["generate", "--template", "buf.gen.node.yaml", "--output"])
            .arg(&folder)
            .current_dir(protos)
            .env(
                "PATH",
                format!("{}:{path}", packages.join(".bin").display()),
            )
            .env("XDG_CACHE_HOME", sandbox.dir()),
    )?;
    Ok(Some(folder))
}

#[tokio::test]
async fn connect_for_node_calls_both_services() -> Result<()> {
    let name = "connect_for_node_calls_both_services";
    let (sandbox, job) = served_pair(&[]).await?;
    let Some(folder) = javascript(name, &sandbox)? else {
        return sandbox.stop().await;
    };
    let example = include_str!("../../node/client.mjs");
    let mut lines = example.lines().map(str::trim);
    for line in documented("createConnectTransport")?.lines().map(str::trim) {
        ensure!(lines.any(|it| it == line), "not in the example: {line}");
    }
    std::fs::write(folder.join("client.mjs"), example)?;
    let output = printed(
        Command::new("node")
            .arg("client.mjs")
            .args([sandbox.inference()?.grpc(), sandbox.trainer()?.grpc()])
            .arg(picture(&sandbox)?)
            .current_dir(&folder),
    )?;
    let lines: Vec<_> = output.lines().collect();
    let [predicted, watched, streamed @ .., refused] = &*lines else {
        anyhow::bail!("{output}");
    };
    let (label, _) = predicted.split_once(" by version ").context("a label")?;
    assert_eq!(*watched, format!("{job} has finished"));
    assert_eq!(streamed, [label; 3]);
    assert_eq!(*refused, "not found");
    sandbox.stop().await
}

#[tokio::test]
async fn connect_for_browsers_calls_both_services_from_another_origin() -> Result<()> {
    let name = "connect_for_browsers_calls_both_services_from_another_origin";
    let (sandbox, _) = served_pair(&["--cors-origin", "*"]).await?;
    let Some(folder) = javascript(name, &sandbox)? else {
        return sandbox.stop().await;
    };
    let picture = picture(&sandbox)?.display().to_string();
    let addresses = [sandbox.inference()?.grpc(), sandbox.trainer()?.grpc()];
    let folder = folder.display().to_string();
    let arguments = [&*addresses[0], &*addresses[1], &*picture, &*folder];
    if let Some(script) = Script::start("connect.mjs", &arguments, sandbox.dir(), name)? {
        tokio::task::spawn_blocking(move || script.end()).await??;
    }
    sandbox.stop().await
}

/// Programs that need nothing but their toolchain, which is no tool of this project: without it
/// nothing is tested.
#[tokio::test]
async fn go_and_java_need_no_library() -> Result<()> {
    let (sandbox, _) = served_pair(&[]).await?;
    let address = sandbox.inference()?.grpc();
    let picture = picture(&sandbox)?;
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = |name: &str| env::split_paths(&path).any(|folder| folder.join(name).is_file());
    for (compiler, arguments, example, words) in [
        (
            "javac",
            &["java"][..],
            "java/Client.java",
            "HttpRequest.newBuilder",
        ),
        (
            "go",
            &["go", "run"],
            "go/http/client.go",
            "/v1/predict\", \"image/png\"",
        ),
    ] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(example);
        let text = std::fs::read_to_string(&source)?;
        let mut lines = text.lines().map(str::trim);
        for line in documented(words)?.lines().map(str::trim) {
            ensure!(lines.any(|it| it == line), "not in {example}: {line}");
        }
        if !on_path(compiler) {
            eprintln!("{example} is not run: there is no {compiler}");
            continue;
        }
        let answer = printed(
            Command::new(arguments[0])
                .args(&arguments[1..])
                .arg(source)
                .arg(&address)
                .arg(&picture)
                .env("GOCACHE", sandbox.dir().join("go"))
                .env("GO111MODULE", "off"),
        )?;
        assert!(!answer.trim().is_empty(), "{example}: {answer}");
    }
    sandbox.stop().await
}

#[tokio::test]
async fn the_openapi_documents_are_valid() -> Result<()> {
    let name = "the_openapi_documents_are_valid";
    let Some(python) = command_line::python(name, "openapi_spec_validator") else {
        return Ok(());
    };
    let mut sandbox = Sandbox::new(digits_testing::patience())?;
    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;
    for (service, methods) in [(sandbox.trainer()?, 21), (sandbox.inference()?, 13)] {
        let address = service.grpc().replace("http://", "");
        let document = http::get(&address, "/openapi.json")?;
        let file = sandbox.dir().join("openapi.json");
        std::fs::write(&file, &document)?;
        printed(
            Command::new(&python)
                .args(["-m", "openapi_spec_validator", "--schema", "3.1"])
                .arg(&file),
        )?;
        let document: Value = serde_json::from_str(&document)?;
        let paths = document["paths"].as_object().context("paths")?;
        assert_eq!(paths.len(), methods, "{:?}", paths.keys());
    }
    sandbox.stop().await
}
