//! The page at `/` of the gRPC port: jobs with their live curves, a form for new ones, sweeps, and
//! the checkpoints that are served. It is an ordinary client, over gRPC-Web.

mod form;
mod messages;

use axum::Router;
use digits_server::page::{self, File, Kind, SCRIPTS};

/// Files of this folder, each at `/page/<name>`.
macro_rules! files {
    ($($kind:ident $name:literal)*) => {
        [$(File::new(concat!("/page/", $name), Kind::$kind, include_bytes!($name)),)*]
    };
}

const INDEX: File = File::new("/", Kind::Html, include_bytes!("index.html"));
const FILES: [File; 25] = files! {
    Style "page.css"
    Svg "icon.svg"
    Script "address.js"
    Script "calls.js"
    Script "chart.js"
    Script "colours.js"
    Script "curves.js"
    Script "detail.js"
    Script "diff.js"
    Script "dots.js"
    Script "field.js"
    Script "form.js"
    Script "jobs.js"
    Script "list.js"
    Script "page.js"
    Script "placement.js"
    Script "plots.js"
    Script "row.js"
    Script "scale.js"
    Script "serving.js"
    Script "show.js"
    Script "smooth.js"
    Script "spec.js"
    Script "submit.js"
    Script "sweeps.js"
};

/// Routes of the page's files.
pub fn router() -> Router {
    let made = [
        ("/page/messages.json", messages::tables()),
        ("/page/form.json", form::fields()),
    ];
    let made = made.map(|(path, json)| File::made(path, Kind::Json, json.to_string()));
    page::router([INDEX].into_iter().chain(FILES).chain(SCRIPTS).chain(made))
}
