//! Small services in this process that answer as the real ones would, so that the client is tested
//! without them.

mod checkpoints;
mod inference;
mod training;

use digits_proto::v1::{
    self, checkpoint_service_server::CheckpointServiceServer,
    inference_service_server::InferenceServiceServer,
    training_service_server::TrainingServiceServer,
};
use inference::Inference;
use std::sync::{Arc, atomic::AtomicU64};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;

/// Id of the one job that the trainer knows.
pub const JOB: &str = "0190a0b0-0000-7000-8000-000000000001";
/// Id of the checkpoint that is served.
pub const CHECKPOINT: &str = "0190a0b0-0000-7000-8000-0000000000c1";
/// Events of the job: two changes of state, rows, a checkpoint, the end.
pub const EVENTS: u64 = 9;

type Stream<T> = futures::stream::BoxStream<'static, Result<T, Status>>;

/// A trainer whose watches are cut after a few events each.
#[derive(Default)]
pub struct Trainer {
    pub watches: AtomicU64,
    pub submissions: AtomicU64,
}

/// Starts both services on one port; returns their URL.
pub async fn start(trainer: Arc<Trainer>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let server = tonic::transport::Server::builder()
        .add_service(TrainingServiceServer::from_arc(trainer.clone()))
        .add_service(CheckpointServiceServer::from_arc(trainer))
        .add_service(InferenceServiceServer::new(Inference));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    url
}

fn evaluation(images: u64, accuracy: f64, loss: f64) -> v1::Evaluation {
    v1::Evaluation {
        images,
        correct: (images as f64 * accuracy).round() as u64,
        accuracy,
        loss,
        loss_batch_mean: loss,
        batch_size: 64,
    }
}
