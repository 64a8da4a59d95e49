//! `digits jobs` and `digits cancel`: lists jobs, shows one, stops one.

use super::promotion;
use crate::{
    args::{JobId, Jobs, State},
    context::Context,
};
use digits_cli::{
    Error, format,
    render::{Align, Table, fields},
};
use digits_proto::{
    json,
    v1::{Evaluation, Job, JobState, ListJobsRequest},
};
use jiff::Timestamp;
use serde_json::json;

/// Runs `digits jobs`.
pub async fn run(args: Jobs, context: &Context) -> Result<(), Error> {
    let Some(id) = &args.job else {
        return list(args, context).await;
    };
    let job = context.trainer()?.job(id).await?;
    context.show(|| json::display(&job), || details(&job))
}

/// Runs `digits cancel`.
pub async fn cancel(args: JobId, context: &Context) -> Result<(), Error> {
    let job = context.trainer()?.cancel(&args.job).await?;
    let line = || match job.cancel_requested {
        true => format!("job {} stops at its next step", job.job_id),
        false => format!("job {} is {}", job.job_id, format::state(job.state)),
    };
    let lines = || {
        let mut lines = vec![line()];
        lines.extend(promotion::summary(&job));
        lines
    };
    context.show(|| json::display(&job), lines)
}

async fn list(args: Jobs, context: &Context) -> Result<(), Error> {
    let filter = ListJobsRequest {
        states: args.state.iter().map(|&state| wire(state).into()).collect(),
        name: args.name.unwrap_or_default(),
        labels: args.labels.into_iter().collect(),
        ..ListJobsRequest::default()
    };
    let jobs = context.trainer()?.jobs(filter, args.limit).await?;
    if jobs.is_empty() && !context.json {
        context.hint("no jobs: `digits train` submits one");
        return Ok(());
    }
    context.show(
        || json!({ "jobs": json::display_all(&jobs) }),
        || context.table(&table(&jobs, Timestamp::now())),
    )
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
            format::state(job.state),
            done(job),
            accuracy(job),
            format::age(job.created_at.as_ref(), now),
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

/// Accuracy on the test set if it was measured, else the newest on the validation set.
fn accuracy(job: &Job) -> String {
    let latest = job
        .progress
        .and_then(|progress| progress.latest)
        .and_then(|row| row.validation);
    job.test
        .or(latest)
        .map_or_else(|| "-".to_owned(), |it| format::percent(it.accuracy))
}

fn details(job: &Job) -> Vec<String> {
    let spec = job
        .resolved
        .clone()
        .or_else(|| job.requested.clone())
        .unwrap_or_default();
    let progress = job.progress.unwrap_or_default();
    let mut labels: Vec<String> = spec
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    labels.sort();
    let hidden = spec
        .architecture
        .and_then(|it| it.hidden)
        .map(|it| it.widths)
        .unwrap_or_default();
    let hidden: Vec<String> = hidden.iter().map(ToString::to_string).collect();
    let took = format::between(job.started_at.as_ref(), job.finished_at.as_ref());
    let measured = |it: Evaluation| {
        let accuracy = format::percent(it.accuracy);
        format!("accuracy {accuracy}, loss {:.6}", it.loss_batch_mean)
    };
    let test = job.test.map(measured);
    let latest = progress.latest.and_then(|row| row.validation).map(measured);
    let cancelling = match job.cancel_requested {
        true => "at its next step",
        false => "",
    };
    let number = |value: Option<u64>| value.map(|it| it.to_string()).unwrap_or_default();
    let mut lines = fields(&[
        ("job", job.job_id.clone()),
        ("name", spec.name),
        ("state", format::state(job.state)),
        ("cancelling", cancelling.to_owned()),
        ("error", job.error.clone()),
        ("preset", spec.preset),
        ("labels", labels.join(", ")),
        ("model", spec.model.unwrap_or_default()),
        (
            "data set",
            spec.data.and_then(|it| it.dataset).unwrap_or_default(),
        ),
        ("hidden", hidden.join(", ")),
        (
            "network",
            job.network
                .as_ref()
                .map(format::network)
                .unwrap_or_default(),
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
                format::grouped(progress.step),
                format::grouped(progress.steps)
            ),
        ),
        ("validation", latest.unwrap_or_default()),
        ("test", test.unwrap_or_default()),
        ("created", format::time(job.created_at.as_ref())),
        ("took", took.map(format::duration).unwrap_or_default()),
        (
            "training",
            format!(
                "{:.2} s, validation {:.2} s",
                progress.train_seconds, progress.validation_seconds
            ),
        ),
        ("checkpoints", job.checkpoint_ids.join(" ")),
    ]);
    lines.extend(promotion::summary(job));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_cli::render::Style;
    use digits_proto::v1::{JobProgress, JobSpec};

    #[test]
    fn a_job_without_figures_has_dashes() {
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
    fn details_leave_out_unset_fields() {
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
