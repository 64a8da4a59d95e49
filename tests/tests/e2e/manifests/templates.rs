//! Jobs are created of templates, which can be applied again at any time, and the nightly backup does
//! what the manual says.

use super::each;
use crate::support::{
    manifests::{Manifests, list, string},
    metric_names::{repository, text},
};
use anyhow::{Context as _, Result, ensure};
use std::{fs, process::Command};

/// A Job cannot be changed once it exists, so the next `kubectl apply` would be refused.
#[test]
fn jobs_are_created_of_templates_and_never_applied() -> Result<()> {
    each("jobs_are_created_of_templates_and_never_applied", |all| {
        ensure!(all.of("Job").count() == 0, "a Job is immutable");
        let Ok(template) = all.workload("digits-job") else {
            return Ok(());
        };
        ensure!(template.object["kind"] == "CronJob");
        ensure!(
            template.object["spec"]["suspend"] == true,
            "it runs by itself"
        );
        let job = &template.object["spec"]["jobTemplate"];
        let queue = &job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"];
        ensure!(queue == "digits" && job["spec"]["suspend"] == true);
        Ok(())
    })
}

/// Two Jobs at a time, and two of one spec, do not find the other's state.
#[test]
fn each_job_has_a_folder_of_its_own_for_its_state() -> Result<()> {
    each("each_job_has_a_folder_of_its_own_for_its_state", |all| {
        let Ok(job) = all.workload("digits-job") else {
            return Ok(());
        };
        let mut arguments = list(&job.container()["args"]).iter().map(string);
        let folder = arguments.find_map(|it| it.strip_prefix("--state=/var/lib/digits/state/"));
        let variable = folder.and_then(|it| it.strip_prefix("$(")?.strip_suffix(')'));
        let variable = variable.context("the folder of a variable")?;
        let mut variables = list(&job.container()["env"]).iter();
        let variable = variables.find(|it| it["name"] == variable);
        let field = variable.and_then(|it| it.pointer("/valueFrom/fieldRef/fieldPath"));
        let label = "metadata.labels['batch.kubernetes.io/job-name']";
        ensure!(field.context("a field")? == label);
        Ok(())
    })
}

/// Components are applied after an overlay's own generators, whose values they would replace.
#[test]
fn an_example_has_its_own_bucket_and_role() -> Result<()> {
    let test = "an_example_has_its_own_bucket_and_role";
    let cases = [
        (
            "examples/eks",
            "DIGITS_STORAGE",
            "s3://example-digits/storage",
        ),
        (
            "examples/eks",
            "AWS_ROLE_ARN",
            "arn:aws:iam::111122223333:role/example-digits",
        ),
        (
            "examples/minio",
            "DIGITS_STORAGE",
            "s3://example-digits/storage",
        ),
        (
            "examples/minio",
            "AWS_ENDPOINT",
            "http://minio.minio.svc:9000",
        ),
    ];
    for (folder, variable, value) in cases {
        let Some(all) = Manifests::build(folder, test)? else {
            return Ok(());
        };
        for name in ["digits-trainer", "digits-inference", "digits-tools"] {
            let variables = all.variables(all.workload(name)?.container())?;
            let found = variables.get(variable);
            ensure!(
                found.is_some_and(|it| it == value),
                "{folder}, {name}: {found:?}"
            );
        }
    }
    Ok(())
}

const SCRIPT: &str = "deploy/kubernetes/components/backup/backup.sh";

#[test]
fn the_nightly_backup_runs_the_commands_of_the_manual() -> Result<()> {
    let (script, page) = (text(SCRIPT)?, text("docs/operations.md")?);
    let section = page.split("\n## Back up, move, restore\n").nth(1);
    let block = section.and_then(|it| it.split("\n```sh\n").nth(1));
    let block = block.and_then(|it| it.split("\n```").next());
    let block = block.context("the first block")?;
    ensure!(script.contains(block));
    let parts = block.lines().find(|line| line.starts_with("for part in "));
    let parts = parts.context("the parts of a storage")?;
    ensure!(text("docs/kubernetes.md")?.contains(parts), "{parts}");
    Ok(())
}

#[test]
fn the_nightly_backup_keeps_the_seven_newest() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (storage, backups) = (folder.path().join("storage"), folder.path().join("backups"));
    for part in ["serving", "checkpoints"] {
        fs::create_dir_all(storage.join(part))?;
        fs::write(storage.join(part).join("file"), part)?;
    }
    for day in 1..=9 {
        fs::create_dir_all(backups.join(format!("2020-01-0{day}T031700")))?;
    }
    let output = Command::new("sh")
        .arg(repository(SCRIPT))
        .env("STORAGE", &storage)
        .env("BACKUPS", &backups)
        .output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{error}");
    let left = fs::read_dir(&backups)?.map(|it| Ok(it?.file_name().into_string()));
    let left = left.collect::<Result<Vec<_>>>()?;
    let mut left: Vec<String> = left.into_iter().filter_map(Result::ok).collect();
    left.sort_unstable();
    ensure!(
        left.len() == 7 && left[0] == "2020-01-04T031700",
        "{left:?}"
    );
    let newest = backups.join(&left[6]);
    for part in ["serving", "checkpoints"] {
        ensure!(newest.join(format!("{part}.tar")).is_file(), "no {part}");
    }
    Ok(())
}
