//! Shared by the scripted services: ids, counters of the trainer, figures of an evaluation.

use digits_proto::v1;
use std::sync::atomic::AtomicU64;
use tonic::Status;

/// Id of the one job that the trainer knows.
pub const JOB: &str = "0190a0b0-0000-7000-8000-000000000001";
/// Id of the one sweep that the trainer knows.
pub const SWEEP: &str = "0190a0b0-0000-7000-8000-0000000000a1";
/// Id of the checkpoint that is served.
pub const CHECKPOINT: &str = "0190a0b0-0000-7000-8000-0000000000c1";
/// Id of a checkpoint that was imported.
pub const IMPORTED: &str = "0190a0b0-0000-7000-8000-0000000000c2";
/// Content of a picture that the inference service refuses.
pub const BAD_PICTURE: &str = "no picture";
/// Events of the job: two changes of state, rows, a checkpoint, the end.
pub const EVENTS: u64 = 9;

pub type Stream<T> = futures::stream::BoxStream<'static, Result<T, Status>>;

/// A trainer whose watches are cut after a few events each.
#[derive(Default)]
pub struct Trainer {
    pub watches: AtomicU64,
    pub submissions: AtomicU64,
    pub sweep_reads: AtomicU64,
}

pub fn evaluation(images: u64, accuracy: f64, loss: f64) -> v1::Evaluation {
    v1::Evaluation {
        images,
        correct: (images as f64 * accuracy).round() as u64,
        accuracy,
        loss,
        loss_batch_mean: loss,
        batch_size: 64,
    }
}
