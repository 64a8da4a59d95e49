//! Server reflection in both versions that clients ask for. Which files it shows is the caller's.

use tonic_reflection::pb;
use tonic_reflection::server::{Builder, v1, v1alpha};

use crate::error::ServerError;

/// What every server of ours has beside the services it is for.
const COMMON: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// Reflection v1 and v1alpha over an encoded `google.protobuf.FileDescriptorSet`; add both to the routes.
/// Older grpcurl and Postman still ask for v1alpha.
///
/// Of the services in the set it lists those named, which are served: a set may hold others for their
/// messages. The details of errors (those of `google.rpc`) are shown too, or a client without
/// protos prints them as raw bytes.
///
/// # Errors
/// When the set does not decode.
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
            // Each version knows the other too: some clients resolve all that is listed.
            .register_encoded_file_descriptor_set(pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(pb::v1alpha::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET);
        let named = services.iter().chain(&COMMON);
        named.fold(known, |builder, name| builder.with_service_name(*name))
    };
    Ok((builder().build_v1()?, builder().build_v1alpha()?))
}
