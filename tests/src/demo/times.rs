//! Measures how long each part of the demo takes.

use anyhow::Result;
use std::time::{Duration, Instant};

/// The parts with their times, in order.
#[derive(Default)]
pub struct Times(pub Vec<(&'static str, Duration)>);

impl Times {
    /// Adds a part.
    pub fn add(&mut self, part: &'static str, time: Duration) {
        self.0.push((part, time));
    }

    /// Runs a part and adds it.
    pub async fn take<T>(
        &mut self,
        part: &'static str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let began = Instant::now();
        let result = work.await?;
        self.add(part, began.elapsed());
        Ok(result)
    }
}
