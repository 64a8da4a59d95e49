//! The list of jobs.

use crate::{
    args::{Jobs, State},
    context::Context,
    served::Served,
};
use digits_cli::{
    Error, format,
    registry::Registry,
    render::{Column, Table},
};
use digits_client::TrainerClient;
use digits_proto::{
    json,
    v1::{Job, JobState, ListJobsRequest},
};
use jiff::Timestamp;
use serde_json::json;

/// Lists the jobs that the flags select.
pub async fn run(args: Jobs, trainer: &TrainerClient, context: &Context) -> Result<(), Error> {
    let filter = ListJobsRequest {
        states: args.state.iter().map(|&state| wire(state).into()).collect(),
        name: args.name.unwrap_or_default(),
        labels: args.labels.into_iter().collect(),
        ..ListJobsRequest::default()
    };
    let jobs = trainer.jobs(filter, args.limit).await?;
    if context.json {
        return context.document(&json!({ "jobs": json::display_all(&jobs) }));
    }
    if jobs.is_empty() {
        context.hint("no jobs: `digits train` submits one");
        return Ok(());
    }
    let registry = Registry::Trainer(trainer.clone());
    let served = Served::jobs(&jobs, &registry).await;
    let served = served.map_or_else(|error| context.unknown_serving(&error), Some);
    let served = served.unwrap_or_default();
    context.print(context.table(&table(&jobs, &served, Timestamp::now())))
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

fn table(jobs: &[Job], served: &Served, now: Timestamp) -> Table {
    let mut table = Table::new(&[
        ("job", Column::Word),
        ("state", Column::Word),
        ("progress", Column::Number),
        ("accuracy", Column::Number),
        ("serves", Column::Word),
        ("age", Column::Number),
        ("preset", Column::Extra),
        ("name", Column::Text),
    ]);
    for job in jobs {
        let spec = job.requested.as_ref();
        table.row(vec![
            job.job_id.clone(),
            format::job_state(job),
            done(job),
            accuracy(job),
            served.role(&job.job_id),
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

#[cfg(test)]
mod tests {
    use super::*;
    use digits_cli::render::{Style, visible_width};
    use digits_proto::v1::{Evaluation, JobProgress, JobSpec};

    fn job(id: &str, name: &str) -> Job {
        let created = prost_types::Timestamp {
            seconds: 1_000,
            nanos: 0,
        };
        Job {
            job_id: id.to_owned(),
            requested: Some(JobSpec {
                preset: "notebook".to_owned(),
                name: name.to_owned(),
                ..Default::default()
            }),
            state: JobState::Succeeded.into(),
            created_at: Some(created),
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
        }
    }

    #[test]
    fn a_job_without_figures_has_dashes() {
        let waiting = Job {
            job_id: "j2".to_owned(),
            state: 1,
            ..Default::default()
        };
        let now = Timestamp::from_second(1_065).expect("in range");
        let table = table(&[job("j1", ""), waiting], &Served::default(), now);
        assert_eq!(
            table.lines(&Style::plain(100)),
            [
                "job  state      progress  accuracy  serves         age  preset    name",
                "j1   succeeded     100 %    90.0 %          1 min 05 s  notebook",
                "j2   queued            -         -                   -",
            ]
        );
    }

    #[test]
    fn jobs_with_long_names_fit_into_80_columns() {
        let name = "a name of a hundred characters ".repeat(4);
        let jobs = [
            job("0190a0b0-1234-7000-8000-000000000001", &name),
            job("0190a0b0-1235-7000-8000-000000000002", &name),
        ];
        let now = Timestamp::from_second(1_000_000).expect("in range");
        let lines = table(&jobs, &Served::default(), now).lines(&Style::plain(80));
        assert_eq!(lines.len(), 3);
        for line in lines {
            assert!(visible_width(&line) <= 80, "{line}");
        }
    }
}
