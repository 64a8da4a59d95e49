//! Jobs outlive their process: after SIGTERM and SIGKILL, with damaged bundles, deadlines, watchers
//! that do not read, and a limit on file sizes.

use crate::support::{
    http,
    torture::{Evidence, listen, undisturbed},
};
use anyhow::{Context as _, Result};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{
    ArchitectureSpec, CancelJobRequest, EvaluationSpec, HiddenLayers, Job, JobSpec, JobState,
    LimitsSpec, PublishPolicy, PublishSpec, WatchJobRequest, WatchJobResponse,
    training_service_client::TrainingServiceClient, watch_job_response::Event,
};
use digits_testing::{patience, until};
use std::{fs, path::PathBuf};
use tonic::transport::Channel;

/// Writes bundles as often as the disk allows.
const OFTEN: [&str; 2] = ["--bundle-interval", "10ms"];
/// Writes only the last bundle.
const NEVER: [&str; 2] = ["--bundle-interval", "24h"];
/// As [`NEVER`], and a shutdown waits for the running job as long as it takes.
const PATIENT: [&str; 4] = ["--bundle-interval", "24h", "--shutdown-grace", "24h"];

type Training = TrainingServiceClient<Channel>;

/// A job of a few seconds that publishes once, at its end.
fn long() -> JobSpec {
    JobSpec {
        publish: publish_last(),
        ..specs::synthetic(400)
    }
}

/// A job that does not end by itself while a test runs.
fn endless() -> JobSpec {
    JobSpec {
        publish: publish_last(),
        ..specs::synthetic(10_000)
    }
}

fn publish_last() -> Option<PublishSpec> {
    Some(PublishSpec {
        policy: PublishPolicy::Final.into(),
    })
}

/// Waits until a running job has made this many steps.
async fn steps(training: &mut Training, job_id: &str, at_least: u64) -> Result<Job> {
    until("steps of a job", async || {
        let job = jobs::get(training, job_id).await?;
        let step = job.progress.as_ref().map_or(0, |progress| progress.step);
        Ok((step >= at_least).then_some(job))
    })
    .await
}

fn bundle(sandbox: &Sandbox, job_id: &str, kind: &str) -> PathBuf {
    let bundles = sandbox.dir().join("state/bundles");
    bundles.join(format!("{job_id}.{kind}"))
}

/// How many attempts of this process began at a bundle.
fn resumed(sandbox: &Sandbox) -> Result<bool> {
    let text = http::get(sandbox.trainer()?.admin(), "/metrics")?;
    let line = "digits_trainer_job_attempts_total{from=\"bundle\"} 1";
    Ok(text.lines().any(|found| found == line))
}

/// Waits for the end of a job, which must be that of one that was not disturbed.
async fn ends_undisturbed(sandbox: &Sandbox, job_id: &str, spec: JobSpec) -> Result<Job> {
    let mut training = sandbox.training().await?;
    let job = jobs::watch(&mut training, job_id, |_| {}).await?;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    let found = Evidence::of(sandbox, &mut training, &job).await?;
    let expected = undisturbed(&[spec]).await?;
    assert_eq!([found], expected[..]);
    Ok(job)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigterm_a_job_resumes_at_its_last_step() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    // Only the last bundle was written.
    sandbox.start_trainer(&PATIENT).await?;
    let mut training = sandbox.training().await?;
    let id = jobs::submit(&mut training, long()).await?.job_id;
    let mut reached = 0;
    for _ in 0..3 {
        let job = steps(&mut training, &id, reached + 500).await?;
        reached = job.progress.context("progress")?.step;
        // It ends because the job has stopped, before the grace time is over.
        let status = sandbox.take_trainer()?.stop().await?;
        assert!(status.success(), "{status}");
        sandbox.start_trainer(&PATIENT).await?;
        training = sandbox.training().await?;
        until("the job goes on", async || {
            Ok(resumed(&sandbox)?.then_some(()))
        })
        .await?;
        let job = jobs::get(&mut training, &id).await?;
        assert!(job.progress.context("progress")?.step >= reached, "{job:?}");
    }
    let job = ends_undisturbed(&sandbox, &id, long()).await?;
    assert_eq!(job.attempts, 1, "an orderly end is no retry");
    sandbox.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bundles_are_skipped() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&OFTEN).await?;
    let mut training = sandbox.training().await?;
    let id = jobs::submit(&mut training, long()).await?.job_id;
    let mut reported = 0;
    // The newest, then both.
    for damaged in [1, 2] {
        let before = bundle(&sandbox, &id, "before");
        until("two bundles", async || Ok(before.exists().then_some(()))).await?;
        sandbox.take_trainer()?.crash()?;
        let kept = ["bundle", "before"].map(|kind| bundle(&sandbox, &id, kind));
        // After a kill between two renames only the older bundle exists, which is then the newest.
        for path in kept.iter().filter(|path| path.exists()).take(damaged) {
            let mut bytes = fs::read(path)?;
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes)?;
        }
        sandbox.start_trainer(&OFTEN).await?;
        until("the damage is reported", async || {
            let log = sandbox.trainer()?.log()?;
            let now = log.matches("a resume bundle is damaged").count();
            Ok((now > reported).then(|| reported = now))
        })
        .await?;
    }
    ends_undisturbed(&sandbox, &id, long()).await?;
    sandbox.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_progress_is_abandoned() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&NEVER).await?;
    let mut training = sandbox.training().await?;
    let id = jobs::submit(&mut training, endless()).await?.job_id;
    let mut heard = 0;
    for _ in 0..3 {
        let listening = listen(training.clone(), id.clone(), heard);
        let listening = tokio::spawn(listening);
        until("the job runs", async || {
            let job = jobs::get(&mut training, &id).await?;
            Ok((job.state() == JobState::Running).then_some(()))
        })
        .await?;
        sandbox.take_trainer()?.crash()?;
        heard += listening.await??.len() as u64;
        sandbox.start_trainer(&NEVER).await?;
        training = sandbox.training().await?;
    }
    let rest = listen(training.clone(), id.clone(), heard).await?;
    assert_eq!(rest.first().context("an event")?.sequence, heard + 1);
    let job = jobs::get(&mut training, &id).await?;
    assert_eq!((job.state(), job.attempts), (JobState::Failed, 3));
    assert!(job.error.contains("3 times in a row"), "{}", job.error);
    assert!(job.error.contains("step 0"), "{}", job.error);
    // The next job is not affected.
    jobs::run(&mut training, specs::synthetic(1)).await?;
    sandbox.stop().await
}

/// When an event happened, in seconds since 1970.
fn time_of(event: &WatchJobResponse) -> Result<f64> {
    let at = event.at.context("the time of an event")?;
    Ok(at.seconds as f64 + f64::from(at.nanos) * 1e-9)
}

/// Watches a job from `after` on until it has run for `seconds` by the times of its events, or has
/// ended; returns the events.
async fn watch_for(
    training: &mut Training,
    job_id: &str,
    after: u64,
    seconds: f64,
) -> Result<Vec<WatchJobResponse>> {
    let request = WatchJobRequest {
        job_id: job_id.to_owned(),
        after_sequence: after,
    };
    let mut stream = training.watch_job(request).await?.into_inner();
    let (mut events, mut running_since) = (Vec::new(), None);
    loop {
        let event = stream.message().await?.context("the watch was cut")?;
        let now = time_of(&event)?;
        let over = match &event.event {
            Some(Event::Finished(_)) => true,
            Some(Event::Row(_)) => running_since.is_some_and(|since| now - since > seconds),
            Some(Event::StateChanged(changed)) if changed.state() == JobState::Running => {
                running_since = Some(now);
                false
            }
            _ => false,
        };
        if !matches!(event.event, Some(Event::Heartbeat(_))) {
            events.push(event);
        }
        if over {
            return Ok(events);
        }
    }
}

/// A trainer that restarted the count with each process would never reach the deadline.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_counts_the_time_before_a_crash() -> Result<()> {
    const DEADLINE: i64 = 5;
    const LIFE: f64 = DEADLINE as f64 * 0.3;
    const LIVES: usize = 8;
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&OFTEN).await?;
    let mut training = sandbox.training().await?;
    let deadline = prost_types::Duration {
        seconds: DEADLINE,
        nanos: 0,
    };
    let spec = JobSpec {
        limits: Some(LimitsSpec {
            deadline: Some(deadline),
        }),
        ..endless()
    };
    let id = jobs::submit(&mut training, spec).await?.job_id;
    let (mut heard, mut end) = (0, None);
    for _ in 0..LIVES {
        let events = watch_for(&mut training, &id, heard, LIFE).await?;
        heard += events.len() as u64;
        if let Some(Event::Finished(finished)) = events.last().and_then(|it| it.event.clone()) {
            end = Some(finished);
            break;
        }
        sandbox.take_trainer()?.crash()?;
        sandbox.start_trainer(&OFTEN).await?;
        training = sandbox.training().await?;
    }
    let end = end.with_context(|| format!("no deadline after {LIVES} lives of {LIFE} s"))?;
    assert_eq!(end.state(), JobState::Failed);
    assert!(end.error.contains("deadline of 5 seconds"), "{}", end.error);
    sandbox.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_after_a_crash_keeps_what_was_published() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&OFTEN).await?;
    let mut training = sandbox.training().await?;
    let spec = specs::synthetic(10_000);
    let id = jobs::submit(&mut training, spec).await?.job_id;
    until("a checkpoint", async || {
        let job = jobs::get(&mut training, &id).await?;
        Ok((!job.checkpoint_ids.is_empty()).then_some(()))
    })
    .await?;
    sandbox.take_trainer()?.crash()?;
    sandbox.start_trainer(&OFTEN).await?;
    training = sandbox.training().await?;
    // The request may arrive before or after the job resumes; a second one changes nothing.
    let cancel = CancelJobRequest { job_id: id.clone() };
    training.cancel_job(cancel.clone()).await?;
    training.cancel_job(cancel.clone()).await?;
    let job = jobs::watch(&mut training, &id, |_| {}).await?;
    training.cancel_job(cancel).await?;
    assert_eq!(job.state(), JobState::Cancelled);
    for checkpoint in &job.checkpoint_ids {
        let manifest = sandbox
            .dir()
            .join("storage/checkpoints")
            .join(checkpoint)
            .join("manifest.json");
        assert!(manifest.exists(), "{}", manifest.display());
    }
    assert!(!job.checkpoint_ids.is_empty());
    until("no bundle is left", async || {
        let left = fs::read_dir(sandbox.dir().join("state/bundles"))?.count();
        Ok((left == 0).then_some(()))
    })
    .await?;
    sandbox.stop().await
}

/// Resident bytes of a process.
fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kilobytes.context("VmRSS")?.parse::<u64>()? << 10)
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_that_do_not_read_block_nothing() -> Result<()> {
    const WATCHERS: usize = 40;
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    // A row at every step: 5,120 events, of which a connection holds only the first few hundred.
    let spec = JobSpec {
        evaluation: Some(EvaluationSpec {
            every_steps: Some(1),
            batch_size: None,
        }),
        publish: publish_last(),
        ..specs::synthetic(160)
    };
    let job = jobs::submit(&mut training, spec).await?;
    steps(&mut training, &job.job_id, 100).await?;
    let pid = sandbox.trainer()?.pid();
    let before = resident(pid)?;
    let mut watching = Vec::new();
    for _ in 0..WATCHERS {
        let request = WatchJobRequest {
            job_id: job.job_id.clone(),
            after_sequence: 0,
        };
        // Each on a connection of its own: what one does not read would hold back the others there.
        let mut training = sandbox.training().await?;
        watching.push(training.watch_job(request).await?.into_inner());
    }
    let end = until("the end of the job", async || {
        let job = jobs::get(&mut training, &job.job_id).await?;
        Ok((job.state() != JobState::Running).then_some(job))
    })
    .await?;
    assert_eq!(end.state(), JobState::Succeeded, "{}", end.error);
    let grown = resident(pid)?.saturating_sub(before);
    assert!(grown < 64 << 20, "{} MiB more", grown >> 20);
    // A watcher that starts to read now misses nothing.
    let mut late = watching.pop().context("a watcher")?;
    let mut expected = 1;
    while let Some(event) = late.message().await? {
        if !matches!(event.event, Some(Event::Heartbeat(_))) {
            assert_eq!(event.sequence, expected);
            expected += 1;
        }
    }
    assert_eq!(expected - 1, end.last_event_sequence);
    assert!(expected > 5_000, "{expected} events");
    drop(watching);
    sandbox.stop().await
}

/// A file size limit acts like a full disk, but needs no privilege.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_size_limit_fails_the_job_with_a_reason() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    // 4 MiB, in blocks of 512 bytes; ignored, so that writing fails instead of the process.
    sandbox
        .start_trainer_after("trap '' XFSZ; ulimit -f 8192", &OFTEN)
        .await?;
    let mut training = sandbox.training().await?;
    let large = JobSpec {
        architecture: Some(ArchitectureSpec {
            hidden: Some(HiddenLayers {
                widths: vec![2_048],
            }),
            ..ArchitectureSpec::default()
        }),
        ..specs::synthetic(2)
    };
    let id = jobs::submit(&mut training, large).await?.job_id;
    let job = jobs::watch(&mut training, &id, |_| {}).await?;
    assert_eq!(job.state(), JobState::Failed);
    assert!(job.error.contains("checkpoint of epoch 1"), "{}", job.error);
    assert!(job.error.contains("no file of that size"), "{}", job.error);
    let metrics = http::get(sandbox.trainer()?.admin(), "/metrics")?;
    let failures = metrics.lines().find_map(|line| {
        line.strip_prefix("digits_trainer_bundle_failures_total{operation=\"write\"} ")
    });
    assert_ne!(failures.context("the metric")?, "0");
    // A job with smaller files is not affected.
    jobs::run(&mut training, specs::synthetic(2)).await?;
    sandbox.stop().await
}
