//! Recognizes from an error that a URL leads to another server: the other service, an admin port.

use crate::endpoints::Endpoints;
use digits_client::Service;
use tonic::{Code, Status};

/// What is wrong with the URL of `service`, and what to do, if `status` comes from another server.
pub fn lines(service: Service, status: &Status, endpoints: &Endpoints) -> Option<Vec<String>> {
    let url = endpoints.url(service);
    let flag = |service| match service {
        Service::Trainer => "--trainer",
        Service::Inference => "--inference",
    };
    let other = match service {
        Service::Trainer => Service::Inference,
        Service::Inference => Service::Trainer,
    };
    if status.code() == Code::Unimplemented && has_services_of(other, status.message()) {
        return Some(vec![
            format!("{url} is the {other}, not the {service}"),
            format!(
                "give the URL of the {service} with {} and that of the {other} with {}",
                flag(service),
                flag(other)
            ),
        ]);
    }
    // What tonic makes of a response without gRPC's status, and what our admin ports answer.
    let is_http = status.message().contains("mapped from HTTP status code");
    if is_http || status.message().contains("admin port") {
        let port = service.default_url().rsplit(':').next().unwrap_or_default();
        return Some(vec![
            format!("{url} answers over HTTP, but not over gRPC"),
            format!(
                "give the gRPC port of the {service}, by default {port}, with {}: this may be its admin port, or another program",
                flag(service)
            ),
        ]);
    }
    None
}

/// Whether a server that lacks a service lists those of `service`.
fn has_services_of(service: Service, message: &str) -> bool {
    let listed = message.split_once("it has ").map(|(_, listed)| listed);
    listed.is_some_and(|listed| listed.contains(service.grpc_name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_service_is_named() {
        let endpoints = Endpoints::default();
        let status = Status::unimplemented(
            "this server has no service \"digits.v1.InferenceService\"; it has digits.v1.TrainingService, digits.v1.CheckpointService",
        );
        let expected = vec![
            "http://127.0.0.1:50052 is the trainer, not the inference service".to_owned(),
            "give the URL of the inference service with --inference and that of the trainer with --trainer".to_owned(),
        ];
        assert_eq!(
            lines(Service::Inference, &status, &endpoints),
            Some(expected)
        );
        // A trainer that lacks one of its own services is an old trainer.
        assert_eq!(lines(Service::Trainer, &status, &endpoints), None);
        let old = Status::unimplemented("");
        assert_eq!(lines(Service::Inference, &old, &endpoints), None);
    }

    #[test]
    fn an_admin_port_is_no_grpc_port() {
        for message in [
            "grpc-status header missing, mapped from HTTP status code 404",
            "this is an admin port",
        ] {
            let status = Status::unimplemented(message);
            let lines = lines(Service::Trainer, &status, &Endpoints::default());
            let text = lines.expect("recognized").join("\n");
            assert!(
                text.contains("50051") && text.contains("--trainer"),
                "{text}"
            );
        }
    }
}
