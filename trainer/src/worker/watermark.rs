//! Tracks how much of a job's output is durable.
//!
//! A resume bundle is written only after every row and checkpoint before it: a training that
//! resumes from it produces none of them again.

use tokio::sync::watch;

/// Rows and checkpoints of a job, counted from the start of the attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OutputCount {
    pub(super) rows: u64,
    pub(super) checkpoints: u64,
}

/// How many rows are in the database and how many checkpoints are committed. Held by the tasks that
/// write them; closed when the last of them has ended.
#[derive(Clone, Debug)]
pub(super) struct DurabilityWatermark(watch::Sender<OutputCount>);

/// Waits for a [`DurabilityWatermark`].
#[derive(Debug)]
pub(super) struct WatermarkReader(watch::Receiver<OutputCount>);

impl DurabilityWatermark {
    pub(super) fn new() -> (Self, WatermarkReader) {
        let (sender, receiver) = watch::channel(OutputCount::default());
        (Self(sender), WatermarkReader(receiver))
    }

    /// `count` more rows are in the database.
    pub(super) fn add_rows(&self, count: usize) {
        self.0.send_modify(|durable| durable.rows += count as u64);
    }

    /// One more checkpoint is committed and its promotion policy carried out.
    pub(super) fn add_checkpoint(&self) {
        self.0.send_modify(|durable| durable.checkpoints += 1);
    }
}

impl WatermarkReader {
    /// Waits until at least `output` is durable; `false` when the writers have ended before that.
    pub(super) async fn wait_for(&mut self, output: OutputCount) -> bool {
        let reached = |durable: &OutputCount| {
            durable.rows >= output.rows && durable.checkpoints >= output.checkpoints
        };
        self.0.wait_for(reached).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(rows: u64, checkpoints: u64) -> OutputCount {
        OutputCount { rows, checkpoints }
    }

    #[tokio::test]
    async fn a_wait_ends_when_the_output_is_durable_or_the_writers_are_gone() {
        let (rows, mut reader) = DurabilityWatermark::new();
        let checkpoints = rows.clone();
        assert!(reader.wait_for(output(0, 0)).await);
        let waiting = tokio::spawn(async move {
            let reached = reader.wait_for(output(3, 1)).await;
            (reached, reader)
        });
        rows.add_rows(2);
        checkpoints.add_checkpoint();
        rows.add_rows(1);
        let (reached, mut reader) = waiting.await.expect("no panic");
        assert!(reached);
        drop((rows, checkpoints));
        assert!(!reader.wait_for(output(4, 1)).await);
        assert!(
            reader.wait_for(output(3, 1)).await,
            "durable output stays durable"
        );
    }
}
