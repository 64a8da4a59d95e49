//! The page at `/` of the gRPC port: jobs with their live curves, and the checkpoints that are
//! served. It is an ordinary client, over gRPC-Web.

mod messages;

use axum::Router;
use digits_server::page::{self, File, Kind, SCRIPTS};

const FILES: [File; 9] = [
    File::new("/", Kind::Html, include_bytes!("index.html")),
    File::new("/page/page.css", Kind::Style, include_bytes!("page.css")),
    File::new("/page/icon.svg", Kind::Svg, include_bytes!("icon.svg")),
    File::new("/page/page.js", Kind::Script, include_bytes!("page.js")),
    File::new("/page/calls.js", Kind::Script, include_bytes!("calls.js")),
    File::new("/page/chart.js", Kind::Script, include_bytes!("chart.js")),
    File::new("/page/curves.js", Kind::Script, include_bytes!("curves.js")),
    File::new("/page/show.js", Kind::Script, include_bytes!("show.js")),
    File::new(
        "/page/serving.js",
        Kind::Script,
        include_bytes!("serving.js"),
    ),
];

/// Routes of the page's files.
pub fn router() -> Router {
    let messages = File::made(
        "/page/messages.json",
        Kind::Json,
        messages::tables().to_string(),
    );
    page::router(FILES.into_iter().chain(SCRIPTS).chain([messages]))
}
