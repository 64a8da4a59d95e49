//! Writes jobs as event files of TensorBoard: each a run in a folder of its own.
//!
//! The position in a job's events goes with the length of its file. What the file has beyond it is
//! cut off and written again, so that a crash between the two doubles nothing.

use super::follow::{Batch, Failure, Tracker};
use crate::{grpc::job_message, job::Event, metrics::TrackerMetrics, wire};
use digits_checkpoint::{Storage, id::CheckpointId};
use digits_tensorboard::{self as events, append};
use std::{
    fs::{self, File},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};
use tokio::task::spawn_blocking;

/// The tracker that writes event files.
pub(super) struct TensorBoard {
    pub(super) folder: PathBuf,
    pub(super) storage: Storage,
    pub(super) metrics: TrackerMetrics,
}

impl Tracker for TensorBoard {
    const NAME: &'static str = "tensorboard";

    async fn take(&mut self, batch: Batch<'_>) -> Result<u64, Failure> {
        let job = batch.job;
        let message = job_message(job, job.step, None);
        let created = job.created_us.div_euclid(1_000_000);
        let run = self.folder.join(events::run_name(&message));
        let path = run.join(format!("events.out.tfevents.{created}.digits-trainer"));
        let mut records = Vec::new();
        if batch.position.event == 0 {
            append(&mut records, &events::version(created as f64));
            append(&mut records, &events::started(&message));
        }
        for event in batch.events {
            match event {
                Event::Row(row) => append(&mut records, &events::curve(&wire::row(row))),
                Event::CheckpointPublished { id, .. } => {
                    self.checkpoint(&mut records, *id).await?;
                }
                Event::Finished { .. } => {
                    for event in events::finished(&message) {
                        append(&mut records, &event);
                    }
                }
                Event::StateChanged { .. } | Event::Publishing(_) => {}
            }
        }
        let mark = batch.position.mark;
        let unavailable = |error: &dyn std::fmt::Display| {
            Failure::Unavailable(format!("--tensorboard-dir: {error}"))
        };
        let shown = path.display().to_string();
        let written = spawn_blocking(move || write_after(&path, mark, &records)).await;
        let written = written.map_err(|error| unavailable(&error))?;
        match written.map_err(|error| unavailable(&format!("{shown}: {error}")))? {
            Some(length) => Ok(length),
            None => Err(Failure::Lost(format!("{shown} is gone or cut"))),
        }
    }

    async fn settle(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

impl TensorBoard {
    async fn checkpoint(&self, records: &mut Vec<u8>, id: CheckpointId) -> Result<(), Failure> {
        match digits_checkpoint::load(&self.storage, id).await {
            Ok(loaded) => {
                let made = spawn_blocking(move || events::checkpoint(&loaded)).await;
                let made = made.map_err(|error| Failure::Postponed(error.to_string()))?;
                for event in made {
                    append(records, &event);
                }
            }
            Err(error) => {
                let reason = Failure::of_checkpoint(error)?;
                self.metrics.dropped();
                tracing::warn!(checkpoint = %id, reason, "the weights of a checkpoint are not written for TensorBoard");
            }
        }
        Ok(())
    }
}

/// Writes after the first `length` bytes of a file, and cuts off what follows; with 0 the file is
/// made, and its folder. Returns the new length, or nothing if the file is shorter.
fn write_after(path: &Path, length: u64, bytes: &[u8]) -> io::Result<Option<u64>> {
    let opened = match length {
        0 => {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            File::create(path)
        }
        _ => File::options().write(true).open(path),
    };
    let mut file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound && length > 0 => return Ok(None),
        opened => opened?,
    };
    if file.metadata()?.len() < length {
        return Ok(None);
    }
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length))?;
    file.write_all(bytes)?;
    Ok(Some(length + bytes.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_position_is_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run/events");
        let write = |length, bytes| write_after(&path, length, bytes).expect("written");
        assert_eq!(write(3, b"x"), None);
        assert_eq!(write(0, b"first"), Some(5));
        assert_eq!(write(5, b" and second"), Some(16));
        // The position after the second part was not recorded.
        assert_eq!(write(5, b" again"), Some(11));
        assert_eq!(fs::read(&path).expect("a file"), b"first again");
        assert_eq!(write(12, b"x"), None);
        assert_eq!(write(0, b"anew"), Some(4));
        assert_eq!(fs::read(&path).expect("a file"), b"anew");
    }
}
