//! A job, field by field.

use crate::served::{self, Served};
use digits_cli::{format, render::fields};
use digits_proto::v1::{
    Evaluation, Job, JobSpec,
    job_spec::{Optimizer, Schedule},
};

/// Checkpoints whose ids are shown.
const CHECKPOINTS: usize = 20;

/// The job's fields; `served` is unknown where the storage could not be read.
pub fn lines(job: &Job, served: Option<&Served>, width: usize) -> Vec<String> {
    let spec = job
        .resolved
        .clone()
        .or_else(|| job.requested.clone())
        .unwrap_or_default();
    let identity = identity(job, &spec);
    let training = training(job, &spec);
    let results = results(job, served);
    fields(&[identity, training, results].concat(), width)
}

type Fields = Vec<(&'static str, String)>;

fn identity(job: &Job, spec: &JobSpec) -> Fields {
    let pairs = spec.labels.iter();
    let mut labels: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
    labels.sort();
    let cancelling = match job.cancel_requested {
        true => "at its next step",
        false => "",
    };
    vec![
        ("job", job.job_id.clone()),
        ("name", spec.name.clone()),
        ("state", format::job_state(job)),
        ("cancelling", cancelling.to_owned()),
        (
            "publishing",
            job.publishing
                .as_ref()
                .map(format::publishing)
                .unwrap_or_default(),
        ),
        (
            "waiting for",
            job.waiting
                .as_ref()
                .map(|waiting| waiting.reason.clone())
                .unwrap_or_default(),
        ),
        ("error", job.error.clone()),
        ("preset", spec.preset.clone()),
        ("labels", labels.join(", ")),
        ("model", spec.model.clone().unwrap_or_default()),
    ]
}

fn training(job: &Job, spec: &JobSpec) -> Fields {
    let dataset = spec.data.as_ref().and_then(|it| it.dataset.clone());
    let architecture = spec.architecture.as_ref();
    let hidden: Vec<String> = architecture
        .and_then(|it| it.hidden.as_ref())
        .map(|it| it.widths.iter().map(ToString::to_string).collect())
        .unwrap_or_default();
    let network = job.network.as_ref().map(format::network);
    let text = |value: Option<String>| value.unwrap_or_default();
    vec![
        ("data set", dataset.map(short_digest).unwrap_or_default()),
        ("hidden", hidden.join(", ")),
        ("network", text(network)),
        ("optimizer", text(spec.optimizer.as_ref().map(optimizer))),
        (
            "learning rate",
            text(spec.optimizer.as_ref().and_then(rate)),
        ),
        ("schedule", text(spec.schedule.as_ref().map(schedule))),
        ("batch size", text(spec.batch_size.map(|it| it.to_string()))),
        ("seed", text(spec.seed.map(|it| it.to_string()))),
        ("device", job.device.clone()),
    ]
}

fn results(job: &Job, served: Option<&Served>) -> Fields {
    let progress = job.progress.unwrap_or_default();
    let measured = |it: Evaluation| {
        let accuracy = format::percent(it.accuracy);
        format!("accuracy {accuracy}, loss {:.6}", it.loss_batch_mean)
    };
    let latest = progress.latest.and_then(|row| row.validation);
    let took = format::between(job.started_at.as_ref(), job.finished_at.as_ref());
    let (step, steps) = (
        format::grouped(progress.step),
        format::grouped(progress.steps),
    );
    vec![
        (
            "epoch",
            format!("{} of {}", progress.epoch, progress.epochs),
        ),
        ("step", format!("{step} of {steps}")),
        ("validation", latest.map(measured).unwrap_or_default()),
        ("test", job.test.map(measured).unwrap_or_default()),
        ("created", format::time(job.created_at.as_ref())),
        ("took", took.map(format::duration).unwrap_or_default()),
        (
            "training",
            format!(
                "{:.2} s, validation {:.2} s",
                progress.train_seconds, progress.validation_seconds
            ),
        ),
        ("checkpoints", checkpoints(job)),
        (
            "serves",
            served.map(|it| serves(job, it)).unwrap_or_default(),
        ),
    ]
}

/// The newest checkpoints of a job, and the number of the others.
fn checkpoints(job: &Job) -> String {
    let ids = &job.checkpoint_ids;
    let newest = ids[ids.len().saturating_sub(CHECKPOINTS)..].join(" ");
    let count = job.checkpoint_count.max(ids.len() as u64);
    match count.saturating_sub(CHECKPOINTS as u64) {
        0 => newest,
        earlier => format!("{} earlier ones, then {newest}", format::grouped(earlier)),
    }
}

/// Which of the job's checkpoints is served, and how.
fn serves(job: &Job, served: &Served) -> String {
    let model = served::model(job);
    match (served.get(&job.job_id), job.checkpoint_ids.last()) {
        (Some(route), _) => format!(
            "{} as {} of {model}, by record {}",
            route.checkpoint_id, route.role, route.sequence
        ),
        (None, Some(_)) => format!("nothing; other checkpoints serve {model}"),
        (None, None) => String::new(),
    }
}

/// A data set's name with a digest of 12 digits, which still names it.
fn short_digest(dataset: String) -> String {
    match dataset.split_once('@') {
        Some((name, digest)) => format!("{name}@{}", digest.get(..12).unwrap_or(digest)),
        None => dataset,
    }
}

fn optimizer(optimizer: &Optimizer) -> String {
    let decay = |it: Option<f64>| it.map(|it| format!(", weight decay {it}"));
    match optimizer {
        Optimizer::Sgd(sgd) => {
            let nesterov = match sgd.nesterov {
                Some(true) => "Nesterov momentum",
                _ => "momentum",
            };
            let momentum = sgd.momentum.map(|it| format!(", {nesterov} {it}"));
            let decay = decay(sgd.weight_decay);
            format!(
                "SGD{}{}",
                momentum.unwrap_or_default(),
                decay.unwrap_or_default()
            )
        }
        Optimizer::Adamw(adamw) => {
            let decay = decay(adamw.weight_decay);
            format!("AdamW{}", decay.unwrap_or_default())
        }
    }
}

fn rate(optimizer: &Optimizer) -> Option<String> {
    let rate = match optimizer {
        Optimizer::Sgd(sgd) => sgd.learning_rate,
        Optimizer::Adamw(adamw) => adamw.learning_rate,
    };
    rate.map(|it| it.to_string())
}

fn schedule(schedule: &Schedule) -> String {
    let percent = |share: Option<f64>| format!("{} %", share.unwrap_or_default() * 100.0);
    match schedule {
        Schedule::Constant(_) => "constant".to_owned(),
        Schedule::Step(it) => format!(
            "step: times {} after every {} epochs",
            it.factor.unwrap_or_default(),
            it.every_epochs.unwrap_or_default()
        ),
        Schedule::Cosine(it) => format!(
            "cosine: warm-up in {} of the steps, then down to {} of the learning rate",
            percent(it.warmup),
            percent(it.final_factor)
        ),
        Schedule::OneCycle(it) => format!(
            "one-cycle: up from {} of the learning rate in {} of the steps, then down to {}",
            percent(it.initial_factor),
            percent(it.up),
            percent(it.final_factor)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_cli::render::visible_width;
    use digits_proto::v1::{CosineSchedule, DataSpec, Publishing, Sgd, Waiting};

    #[test]
    fn details_leave_out_unset_fields() {
        let job = Job {
            job_id: "j".to_owned(),
            state: 2,
            ..Default::default()
        };
        let lines = lines(&job, None, usize::MAX);
        assert_eq!(
            lines[..2],
            ["job       j".to_owned(), "state     running".to_owned()]
        );
        assert!(!lines.iter().any(|line| line.starts_with("error")));
    }

    #[test]
    fn a_job_that_waits_for_the_storage_is_shown_as_publishing() {
        let job = Job {
            state: 2,
            publishing: Some(Publishing {
                epoch: 3,
                reason: "the storage is full".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let lines = lines(&job, None, usize::MAX);
        for expected in [
            "state       publishing",
            "publishing  the checkpoint of epoch 3 waits: the storage is full; retrying",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{lines:?}");
        }
    }

    #[test]
    fn a_job_that_a_cluster_holds_says_why() {
        let reason = "Unschedulable: 0/2 nodes are available: 2 Insufficient cpu.";
        let job = Job {
            state: 1,
            waiting: Some(Waiting {
                reason: reason.to_owned(),
                since: None,
            }),
            ..Default::default()
        };
        let lines = lines(&job, None, usize::MAX);
        for expected in [
            "state        queued".to_owned(),
            format!("waiting for  {reason}"),
        ] {
            assert!(lines.contains(&expected), "{lines:?}");
        }
    }

    #[test]
    fn details_have_rate_schedule_and_batch_size_within_80_columns() {
        let spec = JobSpec {
            data: Some(DataSpec {
                dataset: Some(format!("letters@{}", "0123456789abcdef".repeat(4))),
                ..DataSpec::default()
            }),
            optimizer: Some(Optimizer::Sgd(Sgd {
                learning_rate: Some(0.05),
                momentum: Some(0.9),
                nesterov: Some(true),
                weight_decay: Some(0.0001),
            })),
            schedule: Some(Schedule::Cosine(CosineSchedule {
                warmup: Some(0.05),
                final_factor: Some(0.01),
            })),
            batch_size: Some(64),
            ..JobSpec::default()
        };
        let job = Job {
            job_id: "0190a0b0-0000-7000-8000-000000000001".to_owned(),
            resolved: Some(spec),
            checkpoint_ids: vec!["0190a0b0-0000-7000-8000-0000000000c1".to_owned(); 3],
            ..Job::default()
        };
        let lines = lines(&job, Some(&Served::default()), 80);
        for expected in [
            "data set       letters@0123456789ab",
            "optimizer      SGD, Nesterov momentum 0.9, weight decay 0.0001",
            "learning rate  0.05",
            "schedule       cosine: warm-up in 5 % of the steps, then down to 1 % of the",
            "batch size     64",
            "serves         nothing; other checkpoints serve digits",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{lines:#?}");
        }
        assert!(lines.iter().all(|line| visible_width(line) <= 80));
    }
}
