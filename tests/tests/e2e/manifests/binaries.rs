//! Starts the binaries with the variables and arguments of the manifests, except for folders and
//! ports.

use crate::support::{
    http,
    manifests::{Manifests, Workload, list, string},
    prometheus::{self, Prometheus},
};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::sandbox::Sandbox;
use digits_testing::{patience, until};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
    sync::LazyLock,
};

const DATA: &str = "/var/lib/digits";
const MOUNTED: &str = "/etc/digits";
/// Default of `--shutdown-delay`, in seconds.
const SHUTDOWN_DELAY: f64 = 0.1;
/// Variables that name files of keys.
const KEYS: [&str; 2] = ["DIGITS_SIGNING_KEY", "DIGITS_TRUSTED_KEYS"];
/// The first test key of RFC 8032.
const SIGNING_KEY: &str =
    include_str!("../../../../crates/checkpoint/tests/golden/ed25519-private.pem");
const TRUSTED_KEYS: &str =
    include_str!("../../../../crates/checkpoint/tests/golden/ed25519-public.pem");
/// Variables that are not the services' own.
const FOREIGN: [&str; 9] = [
    "USER",
    "XDG_CACHE_HOME",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "AWS_ENDPOINT",
    "AWS_ALLOW_HTTP",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// A container's variables, with folders below `dir`.
fn moved(variables: &BTreeMap<String, String>, dir: &Path) -> BTreeMap<String, String> {
    let place = dir.display().to_string();
    let moved = |value: &String| value.replace(DATA, &place).replace(MOUNTED, &place);
    variables
        .iter()
        .map(|(name, value)| (name.clone(), moved(value)))
        .collect()
}

fn ended_well(output: &Output) -> Result<()> {
    ensure!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[test]
fn ports_variables_and_times_are_the_binaries() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    for folder in super::ALL {
        let test = "ports_variables_and_times_are_the_binaries";
        let Some(all) = Manifests::build(folder, test)? else {
            return Ok(());
        };
        if all.workload("digits-tools").is_ok() {
            let help = [vec!["--help"], vec!["dataset", "push", "--help"]]
                .map(|arguments| help(&sandbox, "digits", &arguments));
            let help = help.into_iter().collect::<Result<Vec<_>>>()?.concat();
            variables_are_known(&all, "digits-tools", &help).context(folder)?;
        }
        for name in ["digits-trainer", "digits-inference"] {
            let help = help(&sandbox, name, &["--help"])?;
            let variables = variables_are_known(&all, name, &help).context(folder)?;
            let workload = all.workload(name)?;
            for (port, variable) in [("grpc", "DIGITS_LISTEN"), ("admin", "DIGITS_ADMIN_LISTEN")] {
                let number = workload.ports()[port];
                ensure!(
                    variables[variable] == format!("[::]:{number}"),
                    "{folder}: {name} listens on {}, the pod declares {number}",
                    variables[variable]
                );
            }
        }
        for workload in all.workloads() {
            termination_grace_periods_are_long_enough(&all, workload)
                .with_context(|| folder.to_owned())?;
        }
    }
    Ok(())
}

/// What a binary prints, with each space and new line as one space.
fn help(sandbox: &Sandbox, binary: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(sandbox.binary(binary));
    let help = command.args(arguments).output()?;
    ended_well(&help)?;
    let help = String::from_utf8(help.stdout)?;
    Ok(help.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Returns the variables of a workload, each of which the help of its binary names.
fn variables_are_known(
    all: &Manifests,
    name: &str,
    help: &str,
) -> Result<BTreeMap<String, String>> {
    let variables = all.variables(all.workload(name)?.container())?;
    for variable in variables.keys() {
        ensure!(
            help.contains(&format!("[env: {variable}=")) || FOREIGN.contains(&variable.as_str()),
            "{name} knows no {variable}"
        );
    }
    Ok(variables)
}

fn termination_grace_periods_are_long_enough(
    all: &Manifests,
    workload: Workload<'_>,
) -> Result<()> {
    let (name, container) = (workload.name(), workload.container());
    let variables = all.variables(container)?;
    // The command line has no shutdown.
    let Some(grace) = variables.get("DIGITS_SHUTDOWN_GRACE") else {
        return Ok(());
    };
    let grace = seconds(grace)?;
    let sleep = container
        .pointer("/lifecycle/preStop/sleep/seconds")
        .and_then(Value::as_f64)
        .unwrap_or_default();
    let given = workload.pod()["terminationGracePeriodSeconds"]
        .as_f64()
        .context("a time to end")?;
    ensure!(
        given > sleep + SHUTDOWN_DELAY + grace,
        "{name} needs {sleep} + {SHUTDOWN_DELAY} + {grace} s and has {given}"
    );
    Ok(())
}

fn seconds(text: &str) -> Result<f64> {
    let number = text.strip_suffix('s').context("a time in seconds")?;
    Ok(number.parse()?)
}

#[tokio::test]
async fn the_binaries_train_and_serve_with_the_settings_of_the_manifests() -> Result<()> {
    let test = "the_binaries_train_and_serve_with_the_settings_of_the_manifests";
    // The overlay with the most components.
    let Some(all) = Manifests::build("overlays/signed", test)? else {
        return Ok(());
    };
    let Some(program) = prometheus::program("prometheus", test) else {
        return Ok(());
    };
    let sandbox = Sandbox::new(patience())?;
    let dir = sandbox.dir();
    run_job(&all, &sandbox, &Prometheus::start(&program, dir).await?)?;
    for name in ["digits-trainer", "digits-inference"] {
        let workload = all.workload(name)?;
        let container = workload.container();
        let mut command = Command::new(sandbox.binary(name));
        let variables = moved(&all.variables(container)?, dir);
        write_credentials(&variables)?;
        command.envs(variables);
        let service = sandbox.start(name_of(name), command).await?;
        let admin = service.admin();
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let get = &container[probe]["httpGet"];
            ensure!(get["port"] == "admin", "{name}: {probe} probes {get}");
            let path = string(&get["path"]);
            until(probe, async || Ok(http::get(admin, path).ok())).await?;
        }
        let health = Command::new(sandbox.binary(name))
            .args(["health", "--admin-listen", admin])
            .output()?;
        ended_well(&health).with_context(|| format!("{name} health"))?;
        let admin = admin.to_owned();
        ensure!(service.stop().await?.success(), "{name} did not end well");
        let health = Command::new(sandbox.binary(name))
            .args(["health", "--admin-listen", &admin])
            .output()?;
        let stderr = String::from_utf8(health.stderr)?;
        ensure!(health.status.code() == Some(1), "{}", health.status);
        ensure!(
            stderr.starts_with("error: ") && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
    Ok(())
}

/// Writes the files of credentials that variables name.
fn write_credentials(variables: &BTreeMap<String, String>) -> Result<()> {
    let is_file = |name: &str| name.ends_with("_FILE") || KEYS.contains(&name);
    for (_, file) in variables.iter().filter(|(name, _)| is_file(name)) {
        fs::create_dir_all(Path::new(file).parent().context("a folder")?)?;
        fs::write(file, content(file))?;
    }
    Ok(())
}

/// Valid content of a credential file.
fn content(file: &str) -> String {
    match Path::new(file).file_name().and_then(|name| name.to_str()) {
        Some("tls.crt" | "ca.crt") => PAIR.0.clone(),
        Some("tls.key") => PAIR.1.clone(),
        Some("tokens") => "name token".to_owned(),
        Some("signing-key.pem") => SIGNING_KEY.to_owned(),
        Some("trusted-keys.pem") => TRUSTED_KEYS.to_owned(),
        Some("roles") => "watch sub=name".to_owned(),
        _ => "token".to_owned(),
    }
}

/// A self-signed certificate and its key.
static PAIR: LazyLock<(String, String)> = LazyLock::new(|| {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a pair");
    (pair.cert.pem(), pair.signing_key.serialize_pem())
});

/// Runs the Job as its manifest has it; only its data are built-in digits, and fewer, and its
/// curves go to `prometheus`.
fn run_job(all: &Manifests, sandbox: &Sandbox, prometheus: &Prometheus) -> Result<()> {
    let dir = sandbox.dir();
    let job = all.workload("digits-job")?;
    let map = list(&job.pod()["volumes"])
        .iter()
        .find_map(|volume| volume.pointer("/configMap/name"))
        .context("the job's spec")?;
    let map = all.find("ConfigMap", string(map)).context("ConfigMap")?;
    let mut spec: Value = serde_json::from_str(string(&map["data"]["job.json"]))?;
    spec["data"] = serde_json::json!({
        "dataset": "synthetic",
        "synthetic": {"trainImages": 1000, "testImages": 100},
        "counts": {"train": 800, "validation": 200},
    });
    fs::create_dir(dir.join("job"))?;
    fs::write(dir.join("job/job.json"), spec.to_string())?;
    let place = dir.display().to_string();
    let arguments = list(&job.container()["args"]).iter().map(|argument| {
        let argument = string(argument).replace(DATA, &place);
        argument.replace(MOUNTED, &place).replace("$(JOB)", "job-1")
    });
    let mut variables = moved(&all.variables(job.container())?, dir);
    write_credentials(&variables)?;
    let receiver = variables.get_mut("DIGITS_REMOTE_WRITE");
    *receiver.context("the Job pushes no curves")? = prometheus.remote_write();
    let output = Command::new(sandbox.binary("digits-trainer"))
        .args(arguments)
        .envs(variables)
        .output()?;
    ended_well(&output).context("the job")?;
    let pushed = prometheus.query("digits_trainer_curve_step[1h]")?;
    ensure!(pushed.len() == 1, "curves of {} jobs", pushed.len());
    Ok(())
}

fn name_of(binary: &str) -> &'static str {
    if binary == "digits-trainer" {
        "trainer"
    } else {
        "inference"
    }
}
