//! Finds the job or checkpoint that an argument names: by its id, the start of its id, the name of
//! a job, or `latest`.

use crate::did_you_mean::similar;
use digits_cli::{Error, format, registry::Registry};
use digits_client::TrainerClient;
use digits_proto::v1::{Checkpoint, Job, ListCheckpointsRequest, ListJobsRequest, Sweep};
use jiff::Timestamp;

/// The newest job, or the newest checkpoint.
const LATEST: &str = "latest";
/// Candidates of an ambiguous argument that are listed.
const LISTED: usize = 10;
/// Least number of characters of the start of an id: a shorter one may fit by chance alone.
const LEAST_START: usize = 4;

/// A job or checkpoint that an argument may name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    id: String,
    /// Name of the job.
    name: String,
    /// What tells it from others.
    about: String,
}

/// What an argument names.
#[derive(Clone, Copy)]
struct Kind {
    /// As in "there is no job".
    noun: &'static str,
    /// Command that lists all.
    list: &'static str,
    /// Command that makes one.
    make: &'static str,
    /// What has the name that may be given.
    named: &'static str,
}

const JOB: Kind = Kind {
    noun: "job",
    list: "digits jobs",
    make: "digits train",
    named: "the name of a job",
};
const CHECKPOINT: Kind = Kind {
    noun: "checkpoint",
    list: "digits checkpoints",
    make: "digits train",
    named: "the name of a job",
};
const SWEEP: Kind = Kind {
    noun: "sweep",
    list: "digits sweep list",
    make: "digits sweep",
    named: "its name",
};

/// The id of the job that `text` names. A whole id is not looked up.
pub async fn job_id(text: &str, trainer: &TrainerClient) -> Result<String, Error> {
    if is_id(text) {
        return Ok(text.to_owned());
    }
    let limit = if text == LATEST { 1 } else { usize::MAX };
    let jobs = trainer.jobs(ListJobsRequest::default(), limit).await?;
    if text == LATEST {
        let newest = jobs.into_iter().next().map(|job| job.job_id);
        return newest.ok_or_else(|| nothing_yet(JOB));
    }
    let now = Timestamp::now();
    choose(text, JOB, jobs.iter().map(|job| of_job(job, now)).collect())
}

/// The id of the sweep that `text` names. A whole id is not looked up.
pub async fn sweep_id(text: &str, trainer: &TrainerClient) -> Result<String, Error> {
    if is_id(text) {
        return Ok(text.to_owned());
    }
    let limit = if text == LATEST { 1 } else { usize::MAX };
    let sweeps = trainer.sweeps(limit).await?;
    if text == LATEST {
        let newest = sweeps.into_iter().next().map(|sweep| sweep.sweep_id);
        return newest.ok_or_else(|| nothing_yet(SWEEP));
    }
    let now = Timestamp::now();
    choose(
        text,
        SWEEP,
        sweeps.iter().map(|it| of_sweep(it, now)).collect(),
    )
}

/// The id of the checkpoint that `text` names; `latest` is the newest of `model`, or of all models
/// where that is empty. A whole id is not looked up.
pub async fn checkpoint_id(text: &str, model: &str, registry: &Registry) -> Result<String, Error> {
    if is_id(text) {
        return Ok(text.to_owned());
    }
    if text == LATEST {
        let filter = ListCheckpointsRequest {
            model: model.to_owned(),
            ..ListCheckpointsRequest::default()
        };
        let newest = registry.checkpoints(filter, 1).await?.into_iter().next();
        return newest
            .map(|it| it.checkpoint_id)
            .ok_or_else(|| nothing_yet(CHECKPOINT));
    }
    let all = ListCheckpointsRequest::default();
    let checkpoints = registry.checkpoints(all, usize::MAX).await?;
    let now = Timestamp::now();
    choose(text, CHECKPOINT, of_checkpoints(&checkpoints, text, now))
}

/// The id of the job whose checkpoints are asked for. On a storage, those of its checkpoints are all
/// the jobs that there are. A whole id is not looked up.
pub async fn job_with_checkpoints(text: &str, registry: &Registry) -> Result<String, Error> {
    if is_id(text) {
        return Ok(text.to_owned());
    }
    if let Registry::Trainer(trainer) = registry {
        return job_id(text, trainer).await;
    }
    let all = ListCheckpointsRequest::default();
    let checkpoints = registry.checkpoints(all, usize::MAX).await?;
    let jobs = jobs_of(&checkpoints, Timestamp::now());
    match (text, jobs.first()) {
        (LATEST, Some(newest)) => Ok(newest.id.clone()),
        (LATEST, None) => Err(nothing_yet(JOB)),
        _ => choose(text, JOB, jobs),
    }
}

/// The model of a checkpoint that a misspelt name probably means, as the end of a sentence.
pub async fn similar_model(text: &str, registry: &Registry) -> String {
    let all = ListCheckpointsRequest::default();
    let checkpoints = registry.checkpoints(all, usize::MAX).await;
    let checkpoints = checkpoints.unwrap_or_default();
    let models = checkpoints.iter().map(|it| it.model.as_str());
    match similar(text, models.filter(|it| *it != text)) {
        Some(model) => format!("; did you mean {model:?}?"),
        None => String::new(),
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

fn nothing_yet(kind: Kind) -> Error {
    let Kind { noun, make, .. } = kind;
    Error::Negative(format!("there is no {noun} yet: `{make}` makes one"))
}

fn of_job(job: &Job, now: Timestamp) -> Candidate {
    let spec = job.resolved.as_ref().or(job.requested.as_ref());
    let age = format::age(job.created_at.as_ref(), now);
    Candidate {
        id: job.job_id.clone(),
        name: spec.map(|it| it.name.clone()).unwrap_or_default(),
        about: format!("{}, {age} old", format::state(job.state)),
    }
}

fn of_sweep(sweep: &Sweep, now: Timestamp) -> Candidate {
    let job = sweep.spec.as_ref().and_then(|spec| spec.job.as_ref());
    let age = format::age(sweep.created_at.as_ref(), now);
    Candidate {
        id: sweep.sweep_id.clone(),
        name: job.map(|it| it.name.clone()).unwrap_or_default(),
        about: format!("{}, {age} old", format::sweep_state(sweep)),
    }
}

/// The checkpoints as candidates. A job's name stands for the newest of its checkpoints, so those
/// before it have no name.
fn of_checkpoints(checkpoints: &[Checkpoint], text: &str, now: Timestamp) -> Vec<Candidate> {
    let mut named: Vec<&str> = Vec::new();
    let mut candidates = Vec::new();
    for checkpoint in checkpoints {
        let lineage = checkpoint.lineage.as_ref();
        let job = lineage.map_or("", |it| it.job_id.as_str());
        let spec = lineage.and_then(|it| it.spec.as_ref());
        let mut name = spec.map(|it| it.name.clone()).unwrap_or_default();
        if name == text && named.contains(&job) {
            name.clear();
        }
        named.push(job);
        let epoch = lineage.map_or(0, |it| it.epoch);
        let age = format::age(checkpoint.created_at.as_ref(), now);
        candidates.push(Candidate {
            id: checkpoint.checkpoint_id.clone(),
            name,
            about: format!("{}, epoch {epoch}, {age} old", checkpoint.model),
        });
    }
    candidates
}

/// The jobs of checkpoints, which come newest first; one for each.
fn jobs_of(checkpoints: &[Checkpoint], now: Timestamp) -> Vec<Candidate> {
    let mut jobs: Vec<Candidate> = Vec::new();
    for checkpoint in checkpoints {
        let Some(lineage) = &checkpoint.lineage else {
            continue;
        };
        let is_new = !jobs.iter().any(|job| job.id == lineage.job_id);
        if is_new && !lineage.job_id.is_empty() {
            let age = format::age(checkpoint.created_at.as_ref(), now);
            jobs.push(Candidate {
                id: lineage.job_id.clone(),
                name: lineage
                    .spec
                    .as_ref()
                    .map(|it| it.name.clone())
                    .unwrap_or_default(),
                about: format!("its newest checkpoint is {age} old"),
            });
        }
    }
    jobs
}

impl Candidate {
    /// Whether `text` is its name, its id, or the start of its id.
    fn is_named(&self, text: &str) -> bool {
        let start = text.to_ascii_lowercase();
        !text.is_empty() && (self.name == text || self.id.starts_with(&start))
    }
}

/// The one candidate whose name is `text` or whose id starts with it.
fn choose(text: &str, kind: Kind, candidates: Vec<Candidate>) -> Result<String, Error> {
    let fitting = candidates.iter().filter(|it| it.is_named(text));
    let (mut fitting, too_short): (Vec<&Candidate>, Vec<_>) =
        fitting.partition(|it| it.name == text || text.len() >= LEAST_START);
    fitting.dedup_by_key(|it| &it.id);
    let Kind {
        noun, list, named, ..
    } = kind;
    match fitting[..] {
        [] if !too_short.is_empty() => Err(Error::Usage(format!(
            "{text:?} is too short for the start of an id: give at least {LEAST_START} characters of the {noun}'s id; \
             `{list}` lists them"
        ))),
        [] => {
            let names = candidates.iter().map(|it| it.name.as_str());
            Err(Error::Usage(match similar(text, names) {
                Some(name) => format!("there is no {noun} {text:?}; did you mean {name:?}?"),
                None => format!(
                    "there is no {noun} {text:?}: give an id (a UUID), the start of one, {named} or latest; \
                     `{list}` lists them"
                ),
            }))
        }
        [it] => Ok(it.id.clone()),
        _ => {
            let mut lines = vec![format!(
                "{text:?} is ambiguous: it may be any of these {} {noun}s; give more of the id",
                fitting.len()
            )];
            let shown = fitting.iter().take(LISTED);
            lines.extend(shown.map(|it| {
                let name = match it.name.as_str() {
                    "" => String::new(),
                    name => format!("  {name}"),
                };
                format!("  {}{name}  ({})", it.id, it.about)
            }));
            if fitting.len() > LISTED {
                lines.push(format!("  and {} more", fitting.len() - LISTED));
            }
            Err(Error::Usage(lines.join("\n")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_proto::v1::{JobSpec, Lineage};

    fn candidates() -> Vec<Candidate> {
        [
            ("0190a0b0-1111-7000-8000-000000000001", "quick"),
            ("0190a0b0-2222-7000-8000-000000000002", ""),
            ("0190a0b0-3333-7000-8000-000000000003", "nightly"),
            ("0190a0b1-3333-7000-8000-000000000004", "nightly"),
        ]
        .map(|(id, name)| Candidate {
            id: id.to_owned(),
            name: name.to_owned(),
            about: "running, 3 s old".to_owned(),
        })
        .to_vec()
    }

    #[test]
    fn a_start_of_an_id_or_a_name_chooses_one() {
        for (text, index) in [
            ("quick", 0),
            ("0190a0b0-2", 1),
            ("0190A0B1", 3),
            ("0190a0b0-3333-7000-8000-000000000003", 2),
        ] {
            let expected = candidates()[index].id.clone();
            assert_eq!(choose(text, JOB, candidates()).expect(text), expected);
        }
    }

    #[test]
    fn the_start_of_an_id_has_at_least_four_characters() {
        for text in ["0", "019"] {
            let error = choose(text, JOB, candidates()).expect_err("too short");
            assert_eq!(error.exit_code(), 64);
            assert_eq!(
                error.to_string(),
                format!(
                    "{text:?} is too short for the start of an id: give at least 4 characters of the job's id; \
                     `digits jobs` lists them"
                )
            );
        }
        // A name may be as short as it likes, and an id is unique at four.
        let mut named = candidates();
        named[1].name = "0".to_owned();
        named[2].id.replace_range(..4, "0a1b");
        let (second, third) = (named[1].id.clone(), named[2].id.clone());
        assert_eq!(choose("0", JOB, named.clone()).expect("named"), second);
        assert_eq!(choose("0a1b", JOB, named).expect("unique"), third);
    }

    #[test]
    fn an_ambiguous_text_lists_the_candidates() {
        let error = choose("nightly", JOB, candidates()).expect_err("two");
        assert_eq!(error.exit_code(), 64);
        let text = error.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "\"nightly\" is ambiguous: it may be any of these 2 jobs; give more of the id",
                "  0190a0b0-3333-7000-8000-000000000003  nightly  (running, 3 s old)",
                "  0190a0b1-3333-7000-8000-000000000004  nightly  (running, 3 s old)",
            ]
        );
        let start = choose("0190a0b0", JOB, candidates()).expect_err("three");
        assert!(start.to_string().contains("any of these 3 jobs"), "{start}");
    }

    #[test]
    fn an_unknown_name_suggests_a_similar_one() {
        let error = choose("quikc", JOB, candidates()).expect_err("none");
        assert_eq!(
            error.to_string(),
            "there is no job \"quikc\"; did you mean \"quick\"?"
        );
        for text in ["", "x"] {
            let error = choose(text, CHECKPOINT, candidates()).expect_err("none");
            assert_eq!(error.exit_code(), 64);
            assert!(!error.to_string().contains("did you mean"), "{error}");
        }
    }

    #[test]
    fn a_name_of_a_job_stands_for_its_newest_checkpoint() {
        let checkpoint = |id: &str, job: &str| Checkpoint {
            checkpoint_id: id.to_owned(),
            lineage: Some(Lineage {
                job_id: job.to_owned(),
                spec: Some(JobSpec {
                    name: "quick".to_owned(),
                    ..JobSpec::default()
                }),
                ..Lineage::default()
            }),
            ..Checkpoint::default()
        };
        let of = |checkpoints: &[Checkpoint]| {
            let candidates = of_checkpoints(checkpoints, "quick", Timestamp::UNIX_EPOCH);
            choose("quick", CHECKPOINT, candidates).map_err(|error| error.to_string())
        };
        let one_job = [checkpoint("new", "a"), checkpoint("old", "a")];
        assert_eq!(of(&one_job), Ok("new".to_owned()));
        let two_jobs = [checkpoint("new", "a"), checkpoint("old", "b")];
        assert!(of(&two_jobs).is_err_and(|text| text.contains("ambiguous")));
    }
}
