//! Checks which roles open a method.

use std::collections::BTreeSet;

use http::uri::PathAndQuery;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

/// A token file with a token for each role, which is the role's name.
pub const TOKEN_FILE: &str = "\
predict predict 8e9afe9d1df3927e713c246259f2e697abc1daeee11b8f7ed14ee4181f2f474f
watch watch baed831623943be39ebf0ef44ae1e9c8fc3eeab51b5f89c113ca410d76a34c1d
train train 116f54c41d0405dbb10e7b04ebc31e262a5b8c85c1233fcf36eaee344d91ae58
promote promote 363256bd153813bc7b3e4e1cb8a7e65b4a9c269ed27b1823925bd408833d6883
admin admin 8c6976e5b5410415bde908bd4dee15dfb167a9c873fc4bb8a81f6f2ab448a918
";
const ROLES: [&str; 5] = ["predict", "watch", "train", "promote", "admin"];

/// Asserts that the methods at `paths` are those of `services`, by their descriptors. So a new
/// method without a rule fails the test.
///
/// # Panics
/// When a method is missing, or there is one too many.
pub fn assert_all_methods(services: &[&str], paths: &[&str]) {
    let descriptors = FileDescriptorSet::decode(digits_proto::FILE_DESCRIPTOR_SET);
    let files = descriptors.expect("the descriptors of this build").file;
    let mut declared = BTreeSet::new();
    for file in &files {
        for service in &file.service {
            let service_name = format!("{}.{}", file.package(), service.name());
            if services.contains(&&*service_name) {
                let methods = service.method.iter();
                declared.extend(methods.map(|it| format!("/{service_name}/{}", it.name())));
            }
        }
    }
    let paths: BTreeSet<String> = paths.iter().map(ToString::to_string).collect();
    assert_eq!(declared, paths);
}

/// Calls the method at `path` once with the token of each role. Each call sends an empty message.
///
/// # Panics
/// When a token opens the method and its role is not in `roles`, or the other way round.
pub async fn assert_opened_by(channel: &Channel, path: &'static str, roles: &[&str]) {
    for role in ROLES {
        let code = call(channel.clone(), path, role).await;
        let is_opened = code != Code::PermissionDenied;
        assert_ne!(code, Code::Unauthenticated, "{path} as {role}");
        assert_eq!(
            is_opened,
            roles.contains(&role),
            "{path} as {role}: {code:?}"
        );
    }
}

async fn call(channel: Channel, path: &'static str, token: &str) -> Code {
    let mut grpc = Grpc::new(channel);
    if let Err(error) = grpc.ready().await {
        panic!("{path}: {error}");
    }
    let mut request = Request::new(());
    let token = format!("Bearer {token}").parse().expect("a header");
    request.metadata_mut().insert("authorization", token);
    // On the wire a call of one message, whatever the method streams.
    let codec = ProstCodec::<(), ()>::default();
    let path = PathAndQuery::from_static(path);
    match grpc.unary(request, path, codec).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    }
}
