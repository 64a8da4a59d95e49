//! The wire contract of `digits`: generated messages, clients and servers, and nothing else.
//!
//! The `.proto` files beside this crate are the reference; every field is commented there, with
//! its unit and limits.

/// `digits.v1`: training, checkpoints and inference.
#[allow(
    missing_docs,
    clippy::doc_markdown,
    clippy::large_enum_variant,
    unused_qualifications
)]
pub mod v1 {
    tonic::include_proto!("digits.v1");
}

/// The Open Inference Protocol, version 2.
#[allow(missing_docs, clippy::doc_markdown, unused_qualifications)]
pub mod open_inference {
    tonic::include_proto!("inference");
}

/// All files as an encoded `google.protobuf.FileDescriptorSet`, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
