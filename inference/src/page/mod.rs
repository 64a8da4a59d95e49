//! The page at `/` of the gRPC port: draw digits or give it pictures, and see what is read.
//!
//! The page is a client like any other: it sends the drawing as a PNG, and pictures as they are, to
//! `Predict` over gRPC-Web.

use axum::Router;
use digits_server::page::{self, File, Kind, SCRIPTS};

/// A module of the page, beside this file.
macro_rules! script {
    ($name:literal) => {
        File::new(
            concat!("/page/", $name),
            Kind::Script,
            include_bytes!($name),
        )
    };
}

const FILES: [File; 21] = [
    File::new("/", Kind::Html, include_bytes!("index.html")),
    File::new("/page/page.css", Kind::Style, include_bytes!("page.css")),
    File::new("/page/icon.svg", Kind::Svg, include_bytes!("icon.svg")),
    script!("page.js"),
    script!("answer.js"),
    script!("bars.js"),
    script!("calls.js"),
    script!("correction.js"),
    script!("dom.js"),
    script!("drawing.js"),
    script!("keys.js"),
    script!("messages.js"),
    script!("paper.js"),
    script!("pictures.js"),
    script!("prepare.js"),
    script!("reading.js"),
    script!("served.js"),
    script!("sources.js"),
    script!("stage.js"),
    script!("strip.js"),
    script!("words.js"),
];

/// Limits of the service on the pictures that the page sends; the page reduces larger ones.
#[derive(Clone, Copy, Debug)]
pub struct PictureLimits {
    /// Maximum number of bytes of a request.
    pub message_bytes: usize,
    /// Maximum number of pixels of a picture.
    pub picture_pixels: u64,
}

/// The page for these models; the first is selected at the start.
pub fn router(models: &[String], limits: PictureLimits) -> Router {
    let models = serde_json::json!(models).to_string();
    let limits = serde_json::json!({
        "messageBytes": limits.message_bytes,
        "picturePixels": limits.picture_pixels,
    });
    let made = [
        File::made("/page/models.json", Kind::Json, models),
        File::made("/page/limits.json", Kind::Json, limits.to_string()),
    ];
    page::router(FILES.into_iter().chain(SCRIPTS).chain(made))
}
