//! An observer that keeps everything that a training reports.

use digits_trainer::train::{Observer, PublishFailed, Row, Snapshot, Started};

/// Records all events.
#[derive(Default)]
pub struct Record {
    pub started: Option<Started>,
    pub rows: Vec<Row>,
    pub steps: Vec<u64>,
    pub snapshots: Vec<Snapshot>,
    /// Stops the training after this number of steps.
    pub stop_after: Option<usize>,
    /// Fails to publish.
    pub broken_storage: bool,
}

impl Observer for Record {
    fn started(&mut self, started: &Started) {
        assert!(self.started.replace(started.clone()).is_none(), "once");
    }

    fn row(&mut self, row: &Row) {
        self.rows.push(row.clone());
    }

    fn progress(&mut self, step: u64) {
        self.steps.push(step);
    }

    fn snapshot(&mut self, snapshot: Snapshot) -> Result<(), PublishFailed> {
        if self.broken_storage {
            return Err(PublishFailed {
                message: "the storage is full".to_owned(),
            });
        }
        self.snapshots.push(snapshot);
        Ok(())
    }

    fn should_stop(&self) -> bool {
        self.stop_after.is_some_and(|most| self.steps.len() >= most)
    }
}
