//! Everything at once: training, publishing, promoting, hot loading, predicting and sweeping, for
//! minutes or hours, while memory, descriptors, threads and files stay flat.
//!
//! `DIGITS_SOAK_MINUTES` sets the time; `make soak` does. Without it, all work is done a few times.

use crate::support::soak::Soak;
use anyhow::{Context as _, Result, ensure};
use std::time::Duration;
use tokio::task::LocalSet;

#[tokio::test]
async fn everything_at_once_leaves_nothing_behind() -> Result<()> {
    LocalSet::new().run_until(soak()).await
}

async fn soak() -> Result<()> {
    let soak = Soak::start().await?;
    let table = match std::env::var("DIGITS_SOAK_MINUTES") {
        Ok(text) => {
            let minutes: f64 = text.parse().context("DIGITS_SOAK_MINUTES is a number")?;
            ensure!(minutes >= 1.0, "a slope needs at least one minute");
            soak.run_for(Duration::from_secs_f64(60.0 * minutes))
                .await?
        }
        Err(_) => soak.run_once().await?,
    };
    println!("{table}");
    Ok(())
}
