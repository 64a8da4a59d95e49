//! `digits reproduce`: trains a checkpoint again from its lineage, as a new job, and compares the
//! weights.
//!
//! The spec is the original one, so that schedule and publishing are the same, but for the
//! promotion and the deadline, which are removed. The job is cancelled once the epoch of the
//! checkpoint is published. What it publishes stays on the storage and is not served.

use crate::{args::Reproduce, context::Context, lookup};
use digits_cli::{Error, format, registry::Registry};
use digits_client::{Error as ClientError, TrainerClient, WatchNotice, WatchOptions};
use digits_proto::{
    json,
    v1::{Checkpoint, Job, JobSpec, JobState, Lineage, PromotionPolicy, watch_job_response::Event},
};
use serde_json::json;
use tonic::Code;

/// Label of the jobs that this command submits.
const LABEL: &str = "reproduces";

/// Runs the command.
pub async fn run(args: Reproduce, context: &Context) -> Result<(), Error> {
    let trainer = context.trainer()?;
    let registry = Registry::Trainer(trainer.clone());
    let id = lookup::checkpoint_id(&args.checkpoint, "", &registry).await?;
    let original = trainer.checkpoint(&id).await?;
    let lineage = original.lineage.clone().unwrap_or_default();
    let spec = spec(&original, &lineage, args.device)?;
    let request_id = uuid::Uuid::new_v4().to_string();
    let job = trainer.submit(request_id, spec).await?;
    if !context.json {
        context.hint(&format!(
            "job {} trains epoch {} again, {}",
            job.job_id,
            lineage.epoch,
            job.network
                .as_ref()
                .map(format::network)
                .unwrap_or_default()
        ));
    }
    let again = train(&job.job_id, lineage.epoch, &trainer, context).await?;
    let job = trainer.job(&job.job_id).await?;
    report(&original, again.as_ref(), &job, context)
}

/// The original spec, for a job that serves nothing.
fn spec(
    original: &Checkpoint,
    lineage: &Lineage,
    device: Option<String>,
) -> Result<JobSpec, Error> {
    let id = &original.checkpoint_id;
    let Some(spec) = lineage.spec.clone() else {
        return Err(Error::Negative(match lineage.job_id.as_str() {
            "" => format!("checkpoint {id} was imported: there is no training to repeat"),
            _ => format!("checkpoint {id} records no spec that this trainer understands"),
        }));
    };
    let mut spec = JobSpec {
        name: format!("reproduces {id}"),
        promotion: PromotionPolicy::Manual.into(),
        limits: None,
        ..spec
    };
    // "auto" may mean another device now.
    let then = Some(lineage.device.clone()).filter(|it| !it.is_empty());
    spec.device = device.or(then).or(spec.device);
    spec.labels.clear();
    spec.labels.insert(LABEL.to_owned(), id.clone());
    Ok(spec)
}

/// Watches until `epoch` is published or the job has ended; returns that epoch's checkpoint.
async fn train(
    job_id: &str,
    epoch: u32,
    trainer: &TrainerClient,
    context: &Context,
) -> Result<Option<Checkpoint>, Error> {
    let mut published = None;
    let watching = trainer.watch(job_id, WatchOptions::default(), |notice| match notice {
        WatchNotice::Event(event) => match &event.event {
            Some(Event::CheckpointPublished(it)) if it.epoch == epoch => {
                published = Some(it.checkpoint_id.clone());
                // Ends the watch.
                Err(Error::Interrupted)
            }
            _ => Ok(()),
        },
        WatchNotice::Interrupted { reason, .. } => {
            context.hint(&format!("lost the trainer ({reason}); trying again"));
            Ok(())
        }
    });
    let watched = tokio::select! {
        watched = watching => watched,
        _ = tokio::signal::ctrl_c() => {
            cancel(job_id, trainer).await?;
            return Err(Error::Interrupted);
        }
    };
    match (watched, published) {
        (_, Some(id)) => {
            cancel(job_id, trainer).await?;
            Ok(Some(trainer.checkpoint(&id).await?))
        }
        (Ok(finished), None) if finished.state() == JobState::Succeeded => Ok(None),
        (Ok(finished), None) => Err(Error::Negative(format!(
            "job {job_id} {}: {}",
            format::state(finished.state),
            finished.error
        ))),
        (Err(error), None) => Err(error),
    }
}

/// Stops a job; one that has ended stays as it is.
async fn cancel(job_id: &str, trainer: &TrainerClient) -> Result<(), Error> {
    match trainer.cancel(job_id).await {
        Err(ClientError::Status { status, .. }) if status.code() == Code::NotFound => Ok(()),
        result => Ok(result.map(drop)?),
    }
}

fn report(
    original: &Checkpoint,
    again: Option<&Checkpoint>,
    job: &Job,
    context: &Context,
) -> Result<(), Error> {
    let equal = again.is_some_and(|again| again.weights_sha256 == original.weights_sha256);
    let lineage = original.lineage.clone().unwrap_or_default();
    let now = again.and_then(|again| again.lineage.clone());
    let differences = now.as_ref().map_or_else(
        || data_set(&lineage, &job.dataset_digest),
        |now| differences(&lineage, now),
    );
    if context.json {
        context.document(&json!({
            "equal": equal,
            "original": json::display(original),
            "reproduced": again.map(json::display),
            "job_id": job.job_id,
            "differences": differences.iter().map(|it| json!({
                "what": it.what, "original": it.original, "reproduced": it.reproduced,
            })).collect::<Vec<_>>(),
        }))?;
    } else {
        context.print([
            format!("original    sha256 {}", original.weights_sha256),
            match again {
                Some(again) => format!("reproduced  sha256 {}", again.weights_sha256),
                None => format!("reproduced  epoch {} was not published", lineage.epoch),
            },
        ])?;
        context.print(differences.iter().map(Difference::line))?;
    }
    if equal {
        if !context.json {
            context.print(["equal: the same weights to the byte"])?;
        }
        return Ok(());
    }
    Err(Error::Negative(if differences.is_empty() {
        "the weights differ, and nothing that a checkpoint records does: another processor may add in another order"
            .to_owned()
    } else {
        "the weights differ".to_owned()
    }))
}

/// A property in which the two trainings differ.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    what: &'static str,
    original: String,
    reproduced: String,
}

impl Difference {
    fn line(&self) -> String {
        format!(
            "{} differs: {} then, {} now",
            self.what, self.original, self.reproduced
        )
    }
}

/// The recorded properties that may explain different weights. One that is unknown for either
/// training is no difference.
fn differences(original: &Lineage, now: &Lineage) -> Vec<Difference> {
    let threads = |lineage: &Lineage| match lineage.threads {
        0 => String::new(),
        threads => threads.to_string(),
    };
    let mut found = data_set(original, &now.dataset_digest);
    found.extend(
        [
            (
                "program version",
                original.program_version.clone(),
                now.program_version.clone(),
            ),
            (
                "libtorch version",
                original.libtorch_version.clone(),
                now.libtorch_version.clone(),
            ),
            ("device", original.device.clone(), now.device.clone()),
            ("number of threads", threads(original), threads(now)),
        ]
        .into_iter()
        .filter_map(|(what, original, reproduced)| difference(what, original, reproduced)),
    );
    found
}

fn data_set(original: &Lineage, digest: &str) -> Vec<Difference> {
    difference(
        "data set",
        original.dataset_digest.clone(),
        digest.to_owned(),
    )
    .into_iter()
    .collect()
}

fn difference(what: &'static str, original: String, reproduced: String) -> Option<Difference> {
    let known = !original.is_empty() && !reproduced.is_empty();
    (known && original != reproduced).then_some(Difference {
        what,
        original,
        reproduced,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_proto::v1::{LimitsSpec, PublishPolicy, PublishSpec};

    #[test]
    fn the_spec_is_the_same_but_serves_nothing() {
        let trained = JobSpec {
            epochs: Some(7),
            promotion: PromotionPolicy::Latest.into(),
            publish: Some(PublishSpec {
                policy: PublishPolicy::Best.into(),
            }),
            limits: Some(LimitsSpec::default()),
            device: Some("cuda:0".to_owned()),
            labels: [("a".to_owned(), "b".to_owned())].into(),
            ..JobSpec::default()
        };
        let original = Checkpoint {
            checkpoint_id: "c".to_owned(),
            ..Checkpoint::default()
        };
        let lineage = Lineage {
            spec: Some(trained.clone()),
            device: "cuda:1".to_owned(),
            ..Lineage::default()
        };
        let there = spec(&original, &lineage, None).expect("a spec");
        assert_eq!(there.device.as_deref(), Some("cuda:1"));
        let again = spec(&original, &lineage, Some("cpu".to_owned())).expect("a spec");
        let expected = JobSpec {
            name: "reproduces c".to_owned(),
            promotion: PromotionPolicy::Manual.into(),
            limits: None,
            device: Some("cpu".to_owned()),
            labels: [(LABEL.to_owned(), "c".to_owned())].into(),
            ..trained
        };
        assert_eq!(again, expected);
        let imported = spec(&original, &Lineage::default(), None).expect_err("an import");
        assert_eq!(imported.exit_code(), 1);
        assert!(imported.to_string().contains("was imported"));
    }

    #[test]
    fn properties_known_of_both_are_compared() {
        let original = Lineage {
            dataset_digest: "d1".to_owned(),
            libtorch_version: "2.11.0".to_owned(),
            device: "cpu".to_owned(),
            ..Lineage::default()
        };
        let now = Lineage {
            dataset_digest: "d2".to_owned(),
            threads: 2,
            ..original.clone()
        };
        let lines: Vec<String> = differences(&original, &now)
            .iter()
            .map(Difference::line)
            .collect();
        assert_eq!(lines, ["data set differs: d1 then, d2 now"]);
        assert!(differences(&original, &original).is_empty());
    }
}
