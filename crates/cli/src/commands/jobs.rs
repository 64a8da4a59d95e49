//! `digits jobs` and `digits cancel`.

use super::{fields, filled};
use crate::{
    args::{JobId, Jobs, State},
    context::Context,
};
use digits_cli::{
    Error, Service, json,
    render::{Align, Table},
    text,
};
use digits_proto::v1::{CancelJobRequest, GetJobRequest, Job, JobState, ListJobsRequest};
use jiff::Timestamp;
use serde_json::json;

/// Jobs of a page.
const PAGE: usize = 200;

/// Runs `digits jobs`.
pub async fn run(args: Jobs, context: &Context) -> Result<(), Error> {
    let Some(job_id) = args.job.clone() else {
        return list(args, context).await;
    };
    let request = GetJobRequest { job_id };
    let answer = context
        .endpoints
        .training()?
        .get_job(request)
        .await
        .map_err(Error::trainer)?;
    let job = filled(answer.into_inner().job, Service::Trainer, "job")?;
    match context.json {
        true => context.document(&json::of(&job)),
        false => context.print(details(&job)),
    }
}

/// Runs `digits cancel`.
pub async fn cancel(args: JobId, context: &Context) -> Result<(), Error> {
    let request = CancelJobRequest { job_id: args.job };
    let answer = context
        .endpoints
        .training()?
        .cancel_job(request)
        .await
        .map_err(Error::trainer)?;
    let job = filled(answer.into_inner().job, Service::Trainer, "job")?;
    if context.json {
        return context.document(&json::of(&job));
    }
    let state = text::state(job.state);
    context.print([match job.cancel_requested {
        true => format!("job {} stops at its next step", job.job_id),
        false => format!("job {} is {state}", job.job_id),
    }])
}

async fn list(args: Jobs, context: &Context) -> Result<(), Error> {
    let mut client = context.endpoints.training()?;
    let mut jobs = Vec::new();
    let mut page_token = String::new();
    while jobs.len() < args.limit {
        let request = ListJobsRequest {
            page_size: (args.limit - jobs.len()).min(PAGE) as u32,
            page_token,
            states: args.state.iter().map(|&state| wire(state).into()).collect(),
            name: args.name.clone().unwrap_or_default(),
            labels: args.labels.iter().cloned().collect(),
        };
        let page = client
            .list_jobs(request)
            .await
            .map_err(Error::trainer)?
            .into_inner();
        jobs.extend(page.jobs);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if context.json {
        return context.document(&json!({ "jobs": json::all(&jobs) }));
    }
    if jobs.is_empty() {
        context.hint("no jobs: `digits train` submits one");
        return Ok(());
    }
    context.table(&table(&jobs, Timestamp::now()))
}

fn wire(state: State) -> JobState {
    match state {
        State::Queued => JobState::Queued,
        State::Running => JobState::Running,
        State::Succeeded => JobState::Succeeded,
        State::Failed => JobState::Failed,
        State::Cancelled => JobState::Cancelled,
    }
}

fn table(jobs: &[Job], now: Timestamp) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("job", Left),
        ("state", Left),
        ("progress", Right),
        ("accuracy", Right),
        ("age", Right),
        ("preset", Left),
        ("name", Left),
    ]);
    for job in jobs {
        let spec = job.requested.as_ref();
        table.row(vec![
            job.job_id.clone(),
            text::state(job.state),
            done(job),
            accuracy(job),
            text::age(job.created_at.as_ref(), now),
            spec.map(|spec| spec.preset.clone()).unwrap_or_default(),
            spec.map(|spec| spec.name.clone()).unwrap_or_default(),
        ]);
    }
    table
}

fn done(job: &Job) -> String {
    match job.progress {
        Some(progress) if progress.steps > 0 => {
            format!(
                "{:.0} %",
                progress.step as f64 / progress.steps as f64 * 100.0
            )
        }
        _ => "-".to_owned(),
    }
}

/// On the test set once that was measured, else the newest on the validation set.
fn accuracy(job: &Job) -> String {
    let latest = job
        .progress
        .and_then(|progress| progress.latest)
        .and_then(|row| row.validation);
    job.test
        .or(latest)
        .map_or_else(|| "-".to_owned(), |it| text::percent(it.accuracy))
}

fn details(job: &Job) -> Vec<String> {
    let spec = job
        .resolved
        .clone()
        .or_else(|| job.requested.clone())
        .unwrap_or_default();
    let progress = job.progress.unwrap_or_default();
    let labels: Vec<String> = spec
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let hidden = spec
        .architecture
        .and_then(|it| it.hidden)
        .map(|it| it.widths)
        .unwrap_or_default();
    let hidden: Vec<String> = hidden.iter().map(ToString::to_string).collect();
    let took = text::between(job.started_at.as_ref(), job.finished_at.as_ref());
    let test = job.test.map(|it| {
        format!(
            "accuracy {}, loss {:.6}",
            text::percent(it.accuracy),
            it.loss_batch_mean
        )
    });
    let latest = progress.latest.and_then(|row| row.validation).map(|it| {
        format!(
            "accuracy {}, loss {:.6}",
            text::percent(it.accuracy),
            it.loss_batch_mean
        )
    });
    let number = |value: Option<u64>| value.map(|it| it.to_string()).unwrap_or_default();
    fields(&[
        ("job", job.job_id.clone()),
        ("name", spec.name),
        ("state", text::state(job.state)),
        (
            "cancelling",
            if job.cancel_requested {
                "at its next step".to_owned()
            } else {
                String::new()
            },
        ),
        ("error", job.error.clone()),
        ("preset", spec.preset),
        ("labels", {
            let mut labels = labels;
            labels.sort();
            labels.join(", ")
        }),
        ("model", spec.model.unwrap_or_default()),
        (
            "data set",
            spec.data.and_then(|it| it.dataset).unwrap_or_default(),
        ),
        ("hidden", hidden.join(", ")),
        (
            "network",
            job.network.as_ref().map(text::network).unwrap_or_default(),
        ),
        ("seed", number(spec.seed)),
        ("device", job.device.clone()),
        (
            "epoch",
            format!("{} of {}", progress.epoch, progress.epochs),
        ),
        (
            "step",
            format!(
                "{} of {}",
                text::grouped(progress.step),
                text::grouped(progress.steps)
            ),
        ),
        ("validation", latest.unwrap_or_default()),
        ("test", test.unwrap_or_default()),
        ("created", text::time(job.created_at.as_ref())),
        ("took", took.map(text::duration).unwrap_or_default()),
        (
            "training",
            format!(
                "{:.2} s, validation {:.2} s",
                progress.train_seconds, progress.validation_seconds
            ),
        ),
        ("checkpoints", job.checkpoint_ids.join(" ")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_cli::render::Style;
    use digits_proto::v1::{Evaluation, JobProgress, JobSpec};

    #[test]
    fn golden_table() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let job = Job {
            job_id: "j1".to_owned(),
            requested: Some(JobSpec {
                preset: "notebook".to_owned(),
                ..Default::default()
            }),
            state: JobState::Succeeded.into(),
            created_at: at(1_000),
            progress: Some(JobProgress {
                step: 4220,
                steps: 4220,
                ..Default::default()
            }),
            test: Some(Evaluation {
                accuracy: 0.9,
                ..Default::default()
            }),
            ..Default::default()
        };
        let waiting = Job {
            job_id: "j2".to_owned(),
            state: 1,
            ..Default::default()
        };
        let now = Timestamp::from_second(1_065).expect("in range");
        assert_eq!(
            table(&[job, waiting], now).lines(&Style::plain(100)),
            [
                "job  state      progress  accuracy           age  preset    name",
                "j1   succeeded     100 %    90.0 %  1 min 05 s  notebook",
                "j2   queued            -         -           -",
            ]
            .map(|line| line.replace("           age", "         age"))
        );
    }

    #[test]
    fn details_leave_out_what_is_not_set() {
        let job = Job {
            job_id: "j".to_owned(),
            state: 2,
            ..Default::default()
        };
        let lines = details(&job);
        assert_eq!(
            lines[..2],
            ["job       j".to_owned(), "state     running".to_owned()]
        );
        assert!(!lines.iter().any(|line| line.starts_with("error")));
    }
}
