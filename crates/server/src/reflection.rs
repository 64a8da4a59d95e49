//! Server reflection in both versions that clients ask for. Which files it shows is the caller's.

use tonic_reflection::server::{Builder, v1, v1alpha};

use crate::error::ServerError;

/// Reflection v1 and v1alpha over an encoded `google.protobuf.FileDescriptorSet`; add both to the routes.
/// Older grpcurl and Postman still ask for v1alpha.
///
/// # Errors
/// When the set does not decode.
pub fn reflection(
    descriptors: &'static [u8],
) -> Result<
    (
        v1::ServerReflectionServer<impl v1::ServerReflection>,
        v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection>,
    ),
    ServerError,
> {
    let builder = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok((builder().build_v1()?, builder().build_v1alpha()?))
}
