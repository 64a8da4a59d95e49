//! Messages, clients and servers of the gRPC services, generated from the `.proto` files.
//!
//! Contains generated code, the codec of all calls, and with the feature `json` the JSON forms of
//! messages. The comments in
//! the `.proto` files are the reference: they state the unit, range and default of every field and
//! the status codes of every method.
//!
//! ```
//! use digits_proto::v1::{Activation, Architecture};
//! use prost::Message as _;
//!
//! let network = Architecture {
//!     hidden: vec![128],
//!     activation: Activation::Gelu.into(),
//!     ..Architecture::default()
//! };
//! let decoded = Architecture::decode(&*network.encode_to_vec())?;
//! assert_eq!(decoded.activation(), Activation::Gelu);
//! # Ok::<(), prost::DecodeError>(())
//! ```

pub mod codec;
#[cfg(feature = "json")]
pub mod json;

/// Package `digits.v1`: training, checkpoints and inference.
#[allow(
    missing_docs,
    clippy::doc_lazy_continuation,
    clippy::doc_markdown,
    clippy::large_enum_variant,
    unused_qualifications
)]
pub mod v1 {
    tonic::include_proto!("digits.v1");
}

/// Package `inference`: the Open Inference Protocol, version 2.
#[allow(missing_docs, clippy::doc_markdown, unused_qualifications)]
pub mod open_inference {
    tonic::include_proto!("inference");
}

/// Encoded `google.protobuf.FileDescriptorSet` of all `.proto` files, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
