//! Scripted services that answer over gRPC as the real ones would, so that clients are tested
//! without them.

mod checkpoints;
mod inference;
mod script;
mod sweeps;
mod training;

pub use script::{BAD_PICTURE, CHECKPOINT, EVENTS, IMPORTED, JOB, SWEEP, Trainer};

use digits_proto::v1::{
    checkpoint_service_server::CheckpointServiceServer,
    inference_service_server::InferenceServiceServer, sweep_service_server::SweepServiceServer,
    training_service_server::TrainingServiceServer,
};
use inference::Inference;
use std::sync::Arc;
use tokio_stream::wrappers::TcpListenerStream;

/// Starts both services on one port; returns their URL.
pub async fn start(trainer: Arc<Trainer>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let server = tonic::transport::Server::builder()
        .add_service(TrainingServiceServer::from_arc(trainer.clone()))
        .add_service(CheckpointServiceServer::from_arc(trainer.clone()))
        .add_service(SweepServiceServer::from_arc(trainer))
        .add_service(InferenceServiceServer::new(Inference));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    url
}
