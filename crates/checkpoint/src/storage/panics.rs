//! Turns panics of the store's client into errors: it panics where a credential or an address is no
//! valid part of an HTTP request, which must not end the task that reads the storage.

use futures::FutureExt as _;
use object_store::Error;
use std::{any::Any, panic::AssertUnwindSafe};

/// The result of `operation`; a panic in it is an error.
///
/// The client keeps no state that a panic could leave inconsistent: an operation builds, signs and
/// sends its own requests.
pub(super) async fn caught<T>(
    operation: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let ended = AssertUnwindSafe(operation).catch_unwind().await;
    ended.unwrap_or_else(|panic| {
        Err(Error::Generic {
            store: "client",
            source: format!("it panicked: {}", text(&*panic)).into(),
        })
    })
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
