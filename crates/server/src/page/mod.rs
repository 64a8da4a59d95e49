//! Serves the files of a web page from the binary, with headers that let a browser run these files
//! and nothing else. [`SCRIPTS`] is the gRPC-Web client that the pages of both services use.

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, LazyLock};
use tokio::task::spawn_blocking;

/// Scripts and styles are files of this port, and pages connect to this port only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every file. With `no-cache` a browser keeps a file and validates it before each use.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-cache"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// gRPC-Web over `fetch`, a form for the token, and protobuf by tables of fields:
/// `/page/grpc-web.js`, `/page/token.js` and `/page/wire.js`.
pub const SCRIPTS: [File; 3] = [
    File::new(
        "/page/grpc-web.js",
        Kind::Script,
        include_bytes!("grpc-web.js"),
    ),
    File::new("/page/token.js", Kind::Script, include_bytes!("token.js")),
    File::new("/page/wire.js", Kind::Script, include_bytes!("wire.js")),
];

/// The type of a file.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// HTML.
    Html,
    /// A JavaScript module.
    Script,
    /// CSS.
    Style,
    /// An SVG image.
    Svg,
    /// JSON.
    Json,
}

impl Kind {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Script => "text/javascript; charset=utf-8",
            Self::Style => "text/css; charset=utf-8",
            Self::Svg => "image/svg+xml",
            Self::Json => "application/json",
        }
    }
}

/// A file of a page.
#[derive(Clone, Debug)]
pub struct File {
    path: &'static str,
    kind: Kind,
    body: Bytes,
}

impl File {
    /// A file with constant contents.
    #[must_use]
    pub const fn new(path: &'static str, kind: Kind, body: &'static [u8]) -> Self {
        Self {
            path,
            kind,
            body: Bytes::from_static(body),
        }
    }

    /// A file whose contents are made when the service starts.
    #[must_use]
    pub fn made(path: &'static str, kind: Kind, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { path, kind, body }
    }
}

/// Answers GET and HEAD for these files, and other methods with 405.
///
/// # Panics
/// When two files have the same path.
pub fn router(files: impl IntoIterator<Item = File>) -> Router {
    files.into_iter().fold(Router::new(), |router, file| {
        let path = file.path;
        router.merge(
            Router::new()
                .route(path, get(respond))
                .with_state(ServedFile::new(file)),
        )
    })
}

/// Answers as [`router`] for a file whose contents are made when it is first read. `make` may block.
pub(crate) fn made_when_read(
    path: &'static str,
    kind: Kind,
    make: impl FnOnce() -> Bytes + Send + 'static,
) -> Router {
    let file = LazyLock::new(move || ServedFile::new(File::made(path, kind, make())));
    let file = Arc::new(file);
    let respond = async move |headers: HeaderMap| {
        let made = spawn_blocking(move || (**file).clone()).await;
        match made {
            Ok(file) => respond(State(file), headers).await,
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    };
    Router::new().route(path, get(respond))
}

#[derive(Clone)]
struct ServedFile {
    body: Bytes,
    content_type: HeaderValue,
    tag: HeaderValue,
}

impl ServedFile {
    fn new(file: File) -> Self {
        let digest = Sha256::digest(&file.body);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            body: file.body,
            content_type: HeaderValue::from_static(file.kind.content_type()),
            tag: HeaderValue::try_from(format!("\"{hex}\"")).expect("hexadecimal is a header"),
        }
    }

    /// Whether the browser has these contents already.
    fn is_cached(&self, headers: &HeaderMap) -> bool {
        let tags = headers.get_all(header::IF_NONE_MATCH).iter();
        tags.filter_map(|value| value.to_str().ok()).any(|value| {
            value.split(',').any(|tag| {
                let tag = tag.trim();
                tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.tag
            })
        })
    }
}

// For HEAD, axum removes the body and keeps its length.
async fn respond(State(file): State<ServedFile>, request: HeaderMap) -> Response {
    let mut response = if file.is_cached(&request) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(file.body));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, file.content_type);
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, file.tag);
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
