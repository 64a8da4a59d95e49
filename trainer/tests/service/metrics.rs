//! The admin port exports the metrics that `deploy/METRICS.md` describes. Tested in a child
//! process: there is one recorder per process, and its counters hold what all servers of the
//! process did.

use crate::{
    child::{Process, service},
    support::{small_job, submit, training, watch_to_end},
};
use digits_proto::v1::JobSpec;
use digits_testing::until;
use rustix::process::Signal;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

fn scrape(admin: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(admin).expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

/// The answer of an admin port.
pub async fn scraped(admin: SocketAddr, path: &'static str) -> String {
    tokio::task::spawn_blocking(move || scrape(admin, path))
        .await
        .expect("scraped")
}

/// HELP text by metric, as the page has it.
fn documented_help() -> BTreeMap<String, String> {
    let page = include_str!("../../../deploy/METRICS.md");
    page.lines()
        .filter(|line| line.starts_with("| `digits_trainer_"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let help = cells[4].replace('`', "").replace(" (see below)", "");
            (cells[1].trim_matches('`').to_owned(), help)
        })
        .collect()
}

/// Metrics of the page with their types, without those that are pushed and never scraped, and those
/// of a GPU, which not every machine has.
fn documented() -> BTreeSet<(String, String)> {
    let page = include_str!("../../../deploy/METRICS.md");
    page.lines()
        .filter(|line| line.starts_with("| `digits_trainer_"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            (cells[1].trim_matches('`').to_owned(), cells[2].to_owned())
        })
        .filter(|(_, kind)| kind != "pushed" && kind != "gauge (GPU)")
        .collect()
}

fn exported(text: &str) -> BTreeSet<(String, String)> {
    text.lines()
        .filter_map(|line| line.strip_prefix("# TYPE digits_trainer_"))
        .filter_map(|rest| rest.split_once(' '))
        .filter(|(name, _)| !name.starts_with("gpu_"))
        .map(|(name, kind)| (format!("digits_trainer_{name}"), kind.trim().to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_and_exported_metrics_agree() {
    let folder = tempfile::tempdir().expect("a folder");
    let ready_file = folder.path().join("ready.json");
    let mut trainer = Process::start(&mut service(folder.path(), &ready_file), "");
    let addresses = trainer.ready(&ready_file).await;
    let mut client = training(addresses.grpc).await;
    // A gauge that is never set has no series.
    let spec = JobSpec {
        calibrate: Some(true),
        ..small_job(2)
    };
    let job = submit(&mut client, "a", spec).await.expect("accepted");
    watch_to_end(&mut client, &job.job_id, 0).await;

    let admin = addresses.admin;
    let text = until("the job is counted", async || {
        let text = scraped(admin, "/metrics").await;
        let counted = text.contains("digits_trainer_jobs{state=\"succeeded\"} 1");
        Ok(counted.then_some(text))
    });
    let text = text.await.expect("counted");
    assert_eq!(exported(&text), documented());
    let documented_help = documented_help();
    for line in text.lines() {
        let help = line.strip_prefix("# HELP digits_trainer_");
        let Some((name, help)) = help.and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let name = format!("digits_trainer_{name}");
        let expected = documented_help.get(&name).map(String::as_str);
        assert_eq!(Some(help), expected, "{name}");
    }
    let id = &job.job_id;
    for line in [
        format!("digits_trainer_job_step{{job_id=\"{id}\"}} 54"),
        format!("digits_trainer_job_steps{{job_id=\"{id}\"}} 54"),
        format!("digits_trainer_job_epoch{{job_id=\"{id}\"}} 2"),
        format!("digits_trainer_job_state{{job_id=\"{id}\",state=\"succeeded\"}} 1"),
        "digits_trainer_samples_total 1080".to_owned(),
        "digits_trainer_checkpoints_published_total 2".to_owned(),
        "digits_trainer_jobs_finished_total{state=\"succeeded\"} 1".to_owned(),
        "digits_trainer_grpc_requests_total{method=\"SubmitJob\",code=\"OK\"} 1".to_owned(),
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no {line} in\n{text}"
        );
    }
    for name in [
        "train_loss",
        "validation_accuracy_ratio",
        "test_loss",
        "learning_rate",
    ] {
        let series = format!("digits_trainer_job_{name}{{job_id=\"{id}\"}} ");
        assert!(text.contains(&series), "no {series} in\n{text}");
    }
    let ready = scraped(admin, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    drop(client);
    let ended = trainer.end_by(Signal::TERM).await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}
