//! Requests to the trainer over gRPC.

use crate::service::Service;
use digits_fuzz::{
    call,
    generate::{self, methods},
};
use prost_reflect::MethodDescriptor;
use std::sync::LazyLock;

static METHODS: LazyLock<Vec<MethodDescriptor>> = LazyLock::new(|| {
    methods(&[
        "digits.v1.TrainingService",
        "digits.v1.CheckpointService",
        "digits.v1.SweepService",
    ])
});

/// Every request message through its handler.
pub fn trainer_requests(data: &[u8]) {
    let (method, messages) = generate::call(&METHODS, data);
    let service = Service::get();
    let path = generate::path(method);
    let call = call::call(service.channel.clone(), &path, messages);
    service.runtime.block_on(call);
}
