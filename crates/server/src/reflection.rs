//! Server reflection, in both versions that clients use.

use tonic_reflection::pb;
use tonic_reflection::server::{Builder, v1, v1alpha};

use crate::compressed;
use crate::error::ServerError;

/// Services that every server has besides its own.
const COMMON: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// Reflection v1 and v1alpha over an encoded `google.protobuf.FileDescriptorSet`; add both to the
/// routes. Older versions of grpcurl and Postman still use v1alpha.
///
/// Only `services` are listed: the set may hold others, for their messages. The messages of
/// `google.rpc` are included, because a client without protos would print error details as raw
/// bytes.
///
/// # Errors
/// When the set cannot be decoded.
pub fn reflection(
    descriptors: &'static [u8],
    services: &[&str],
) -> Result<
    (
        v1::ServerReflectionServer<impl v1::ServerReflection>,
        v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection>,
    ),
    ServerError,
> {
    let builder = || {
        let known = Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // Each version describes the other too: some clients resolve every listed service.
            .register_encoded_file_descriptor_set(pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(pb::v1alpha::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET);
        let listed = services.iter().chain(&COMMON);
        listed.fold(known, |builder, name| builder.with_service_name(*name))
    };
    let (v1, v1alpha) = (builder().build_v1()?, builder().build_v1alpha()?);
    Ok((compressed!(v1), compressed!(v1alpha)))
}
