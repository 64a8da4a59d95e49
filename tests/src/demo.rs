//! The demo: trains, serves and classifies with visible progress, and checks every figure that it
//! prints.

mod data;
mod report;
mod times;
mod train;

use crate::{jobs, notebook, sandbox::Sandbox, specs, watcher::Watcher};
use anyhow::{Context as _, Result, ensure};
use data::Data;
use digits_cli::{evaluate, render::Style};
use digits_proto::v1::{JobState, PromotionPolicy, PublishPolicy, PublishSpec};
use std::time::{Duration, Instant};
use times::Times;

/// How long a service may take to start or to stop, and a published checkpoint to be served.
const PATIENCE: Duration = Duration::from_secs(60);

/// Accuracies between which the notebook's network ends for any seed.
const USUAL_ACCURACY: std::ops::RangeInclusive<f64> = 0.890..=0.915;

/// Runs the demo; with `keep` the services are left running. Fails where a figure is not what it
/// should be.
pub async fn run(keep: bool) -> Result<()> {
    let style = Style::detect(false);
    let mut times = Times::default();

    report::heading(&style, "Data");
    let data = times.take("read the data", async { data::load() }).await?;
    println!("{}", data.description());

    report::heading(&style, "Two services");
    let mut sandbox = Sandbox::new(PATIENCE)?;
    times
        .take("start both services", start(&mut sandbox, &data))
        .await?;
    println!(
        "trainer    gRPC {}  admin {}",
        sandbox.trainer()?.grpc(),
        sandbox.trainer()?.admin()
    );
    println!(
        "inference  gRPC {}  admin {}",
        sandbox.inference()?.grpc(),
        sandbox.inference()?.admin()
    );
    println!("storage    {}", sandbox.storage());

    report::heading(&style, "Training, hot-loaded as it goes");
    let watcher = Watcher::start(&sandbox, data.first_test_image()).await?;
    let (trainer, inference) = sandbox.clients()?;
    let mut training = sandbox.training().await?;
    let began = Instant::now();
    let run = train::run(&trainer, data.spec()).await?;
    times.add("train the notebook's network", began.elapsed());
    let newest = run.published.keys().last().copied();
    let seen = watcher.finish(newest, PATIENCE).await?;
    report::training(&style, &run);
    report::hot_loads(&style, &run, &seen);

    let rows = jobs::history(&mut training, &run.job.job_id).await?;
    let test = run.job.test.context("the job has no test")?;
    if data.is_mnist() {
        report::heading(&style, "The notebook's printed rows and ours");
        report::printed_rows(&style, &notebook::compare(&rows, &test)?)?;
    }

    report::heading(&style, "The test set through Predict");
    let began = Instant::now();
    let options = evaluate::Options::default();
    let through = evaluate::evaluate(&inference, &data.set().test, &options, |_| {}).await?;
    times.add("send the test set through Predict", began.elapsed());
    report::test_through_predict(&style, &through, &test, &data.set().label_names)?;

    report::heading(&style, "A few digits");
    report::few_digits(&style, &inference, data.set()).await?;

    if data.is_mnist() {
        report::heading(&style, "Other seeds");
        let began = Instant::now();
        for seed in [1, 2] {
            let mut spec = specs::notebook_with_seed(seed);
            spec.publish = Some(PublishSpec {
                policy: PublishPolicy::Final.into(),
            });
            spec.promotion = PromotionPolicy::Manual.into();
            let job = jobs::run(&mut training, spec).await?;
            ensure!(
                job.state() == JobState::Succeeded,
                "seed {seed}: {}",
                job.error
            );
            let test = job.test.context("the job has no test")?;
            let usual = USUAL_ACCURACY.contains(&test.accuracy);
            println!(
                "seed {seed}: {} on the test set, loss {:.6}",
                digits_cli::format::percent(test.accuracy),
                test.loss_batch_mean
            );
            ensure!(usual, "seed {seed} ended at {}", test.accuracy);
        }
        times.add("train with two other seeds", began.elapsed());
    }

    if keep {
        report::heading(&style, "Left running");
        report::left_running(sandbox)?;
    } else {
        times.take("stop both services", sandbox.stop()).await?;
    }
    report::heading(&style, "Time of each part");
    report::times(&style, &times);
    Ok(())
}

async fn start(sandbox: &mut Sandbox, data: &Data) -> Result<()> {
    let arguments = data.trainer_arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    sandbox.start_trainer(&arguments).await?;
    sandbox.start_inference(&[]).await?;
    Ok(())
}
