//! The page at `/` of the gRPC port: draw a digit, and see its classification.
//!
//! The page is a client like any other: it sends the drawing as a PNG to `Predict`, over gRPC-Web.

use axum::Router;
use digits_server::page::{self, File, Kind, SCRIPTS};

const FILES: [File; 8] = [
    File::new("/", Kind::Html, include_bytes!("index.html")),
    File::new("/page/page.css", Kind::Style, include_bytes!("page.css")),
    File::new("/page/icon.svg", Kind::Svg, include_bytes!("icon.svg")),
    File::new("/page/page.js", Kind::Script, include_bytes!("page.js")),
    File::new("/page/paper.js", Kind::Script, include_bytes!("paper.js")),
    File::new("/page/keys.js", Kind::Script, include_bytes!("keys.js")),
    File::new("/page/answer.js", Kind::Script, include_bytes!("answer.js")),
    File::new("/page/calls.js", Kind::Script, include_bytes!("calls.js")),
];

/// The page for these models; the first is selected at the start.
pub fn router(models: &[String]) -> Router {
    let names = serde_json::json!(models).to_string();
    let models = File::made("/page/models.json", Kind::Json, names);
    page::router(FILES.into_iter().chain(SCRIPTS).chain([models]))
}
