//! Errors of the server's start. Errors of requests are `tonic::Status`.

use digits_telemetry::listen::BindError;

/// Errors of starting the gRPC server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The port could not be opened. The message names the address and what to do.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The descriptors for reflection could not be decoded.
    #[error("the file descriptors for reflection could not be decoded")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The descriptors for the Connect protocol could not be used.
    #[error("the file descriptors for the Connect protocol could not be used")]
    Connect(#[from] digits_transcode::SchemaError),
}
