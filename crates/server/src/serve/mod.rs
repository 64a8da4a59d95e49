//! Serves HTTP over accepted connections: HTTP/2 and HTTP/1.1, protocol detection, routing.

mod http;
pub(crate) mod inline_executor;
mod open_body;
mod protocol;
pub(crate) mod router;
mod supervision;

pub(crate) use http::HttpServer;
pub(crate) use protocol::{BrowserRules, Browsers, ProtocolMux};
