//! The trainer's page in a browser: submits, watches and cancels jobs.

use crate::support::{browser::Script, mnist};
use anyhow::Result;
use digits_e2e::sandbox::Sandbox;
use digits_testing::patience;

#[tokio::test]
async fn jobs_are_submitted_watched_compared_served_and_cancelled() -> Result<()> {
    let name = "jobs_are_submitted_watched_compared_served_and_cancelled";
    if mnist::for_test(name).is_none() {
        return Ok(());
    }
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let address = sandbox.trainer()?.grpc();
    if let Some(script) = Script::start("trainer.mjs", &[&address], sandbox.dir(), name)? {
        tokio::task::spawn_blocking(move || script.end()).await??;
    }
    sandbox.stop().await
}

#[tokio::test]
async fn forty_jobs_are_searched_linked_compared_and_cloned() -> Result<()> {
    let name = "forty_jobs_are_searched_linked_compared_and_cloned";
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let address = sandbox.trainer()?.grpc();
    if let Some(script) = Script::start("jobs.mjs", &[&address], sandbox.dir(), name)? {
        tokio::task::spawn_blocking(move || script.end()).await??;
    }
    sandbox.stop().await
}
