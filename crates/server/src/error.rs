//! What can go wrong with the port itself. Errors of requests are `tonic::Status`.

use digits_telemetry::listen::BindError;

/// Why the gRPC server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The port could not be opened; the message names address and remedy.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The descriptors given for reflection do not decode.
    #[error("the file descriptors for reflection are not valid")]
    Reflection(#[from] tonic_reflection::server::Error),
}
