//! Serves HTTP over accepted connections: HTTP/2 and HTTP/1.1, protocol detection, routing.

pub(crate) mod http;
pub(crate) mod inline_executor;
pub(crate) mod protocol;
pub(crate) mod router;
