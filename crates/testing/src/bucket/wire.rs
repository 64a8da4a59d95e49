//! Answers to what the storage asks S3, Google (XML API) and Azure (Blob service): create if
//! absent, read, list and delete; and to what asks for a token with the identity of a pod.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};
use url::{Url, form_urlencoded};

/// Name of the bucket.
pub(super) const NAME: &str = "digits";
/// What a client of a bucket in this process must send, as its bearer token.
pub(super) const TOKEN: &str = "hush-token";
/// The token in a pod's file, for which Azure gives another one.
pub(super) const FEDERATED_TOKEN: &str = "hush-federated-token";
const DATE: &str = "Tue, 01 Jan 2030 00:00:00 GMT";
/// Keys in a page of a listing.
const PAGE: usize = 100;

/// What a bucket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// S3.
    S3,
    /// The XML API of Google Cloud Storage.
    Google,
    /// Azure's Blob service.
    Azure,
}

impl Interface {
    /// The scheme of its addresses.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

pub(super) type Objects = BTreeMap<String, Vec<u8>>;

pub(super) struct Request {
    pub(super) method: String,
    pub(super) url: Url,
    /// By their names in lower case.
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Request {
    fn query(&self, name: &str) -> Option<String> {
        let mut pairs = self.url.query_pairs();
        let found = pairs.find(|(key, _)| key == name)?;
        Some(found.1.into_owned())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

pub(super) struct Answer {
    pub(super) status: u16,
    /// Lines, each with its end.
    pub(super) headers: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: String::new(),
            body: body.into(),
        }
    }

    fn error(status: u16, code: &str) -> Self {
        Self::new(status, format!("<Error><Code>{code}</Code></Error>"))
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        let _ = write!(self.headers, "{name}: {value}\r\n");
        self
    }
}

/// Bucket and key in a path, whose slashes may be encoded; the key of the bucket itself is empty.
fn parts(path: &str) -> (String, String) {
    let pair = format!("key={path}");
    let decoded = form_urlencoded::parse(pair.as_bytes()).next();
    let decoded = decoded.map(|(_, path)| path.into_owned());
    let decoded = decoded.unwrap_or_default();
    let path = decoded.trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    (bucket.to_owned(), key.to_owned())
}

pub(super) fn answer(interface: Interface, request: &Request, objects: &mut Objects) -> Answer {
    if let Some(token) = token(interface, request) {
        return token;
    }
    let authorization = request.header("authorization").unwrap_or_default();
    let is_known = match interface {
        Interface::S3 => authorization.starts_with("AWS4-HMAC-SHA256 Credential=test/"),
        Interface::Google | Interface::Azure => authorization == format!("Bearer {TOKEN}"),
    };
    if !is_known {
        return Answer::error(401, "AuthenticationRequired");
    }
    let (bucket, key) = parts(request.url.path());
    if bucket != NAME && !bucket.is_empty() {
        let code = match interface {
            Interface::S3 | Interface::Google => "NoSuchBucket",
            Interface::Azure => "ContainerNotFound",
        };
        return Answer::error(404, code);
    }
    let (condition, value) = match interface {
        Interface::Google => ("x-goog-if-generation-match", "0"),
        Interface::S3 | Interface::Azure => ("if-none-match", "*"),
    };
    match request.method.as_str() {
        "PUT" if request.header(condition) != Some(value) => {
            Answer::new(400, "every write creates if absent")
        }
        "PUT" if objects.contains_key(&key) => Answer::error(412, "PreconditionFailed"),
        "PUT" => {
            objects.insert(key, request.body.clone());
            Answer::new(201, "").with("etag", "\"1\"")
        }
        "GET" if key.is_empty() => Answer::new(200, list(interface, request, objects)),
        "GET" | "HEAD" => object(request, objects.get(&key)),
        "DELETE" => match objects.remove(&key) {
            Some(_) => Answer::new(204, ""),
            None => Answer::error(404, "NoSuchKey"),
        },
        "POST" if interface == Interface::S3 => delete(&request.body, objects),
        "POST" => batch(&request.body, objects),
        _ => Answer::error(405, "MethodNotAllowed"),
    }
}

/// The metadata service of GKE, and the token endpoint of Azure.
fn token(interface: Interface, request: &Request) -> Option<Answer> {
    let is_known = match (interface, request.url.path()) {
        (Interface::Google, "/computeMetadata/v1/instance/service-accounts/default/token") => {
            request.header("metadata-flavor") == Some("Google")
        }
        (Interface::Azure, "/tenant/oauth2/v2.0/token") => {
            let mut form = form_urlencoded::parse(&request.body);
            form.any(|pair| pair == ("client_assertion".into(), FEDERATED_TOKEN.into()))
        }
        _ => return None,
    };
    let token =
        format!(r#"{{"access_token": "{TOKEN}", "expires_in": 3600, "token_type": "Bearer"}}"#);
    Some(match is_known {
        true => Answer::new(200, token),
        false => Answer::new(401, "unknown identity"),
    })
}

fn object(request: &Request, bytes: Option<&Vec<u8>>) -> Answer {
    let Some(bytes) = bytes else {
        return Answer::error(404, "NoSuchKey");
    };
    let range = request.header("range").or(request.header("x-ms-range"));
    let range = range.and_then(|it| it.strip_prefix("bytes=")?.split_once('-'));
    let answer = match range {
        None => Answer::new(200, bytes.clone()),
        Some((first, last)) => {
            let first: usize = first.parse().unwrap_or(0);
            let end = last
                .parse()
                .map_or(bytes.len(), |last: usize| bytes.len().min(last + 1));
            let range = format!("bytes {first}-{}/{}", end - 1, bytes.len());
            Answer::new(206, &bytes[first..end]).with("content-range", &range)
        }
    };
    answer.with("etag", "\"1\"").with("last-modified", DATE)
}

/// A page of a listing; its marker is the first key of the next one.
fn list(interface: Interface, request: &Request, objects: &Objects) -> String {
    let prefix = request.query("prefix").unwrap_or_default();
    let after = request.query("start-after").unwrap_or_default();
    let token = request.query("continuation-token");
    let from = token
        .or_else(|| request.query("marker"))
        .or_else(|| request.query("startFrom"))
        .unwrap_or_default();
    let listed = objects.range(from..).filter(|(key, _)| {
        let is_after = after.is_empty() || **key > after;
        key.starts_with(&prefix) && is_after
    });
    let mut listed = listed.peekable();
    let mut entries = String::new();
    for (key, bytes) in listed.by_ref().take(PAGE) {
        let size = bytes.len();
        let _ = match interface {
            Interface::S3 | Interface::Google => write!(
                entries,
                "<Contents><Key>{key}</Key><LastModified>2030-01-01T00:00:00Z</LastModified>\
                 <ETag>1</ETag><Size>{size}</Size></Contents>"
            ),
            Interface::Azure => write!(
                entries,
                "<Blob><Name>{key}</Name><Properties><Last-Modified>{DATE}</Last-Modified>\
                 <Etag>1</Etag><Content-Length>{size}</Content-Length>\
                 <Content-Type>application/octet-stream</Content-Type></Properties></Blob>"
            ),
        };
    }
    let next = listed.peek().map(|(key, _)| key.as_str());
    match interface {
        Interface::S3 | Interface::Google => {
            let next =
                next.map(|next| format!("<NextContinuationToken>{next}</NextContinuationToken>"));
            let next = next.unwrap_or_default();
            format!("<ListBucketResult>{entries}{next}</ListBucketResult>")
        }
        Interface::Azure => {
            let next = next.unwrap_or_default();
            format!(
                "<EnumerationResults><Blobs>{entries}</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>"
            )
        }
    }
}

/// A deletion of several objects of S3, whether they exist or not.
fn delete(body: &[u8], objects: &mut Objects) -> Answer {
    let body = String::from_utf8_lossy(body);
    let mut deleted = String::new();
    for key in body.split("<Key>").skip(1) {
        let key = key.split("</Key>").next().unwrap_or_default();
        objects.remove(key);
        let _ = write!(deleted, "<Deleted><Key>{key}</Key></Deleted>");
    }
    Answer::new(200, format!("<DeleteResult>{deleted}</DeleteResult>"))
}

/// A batch of Azure with one deletion.
fn batch(body: &[u8], objects: &mut Objects) -> Answer {
    let body = String::from_utf8_lossy(body);
    let target = body.lines().find_map(|line| line.strip_prefix("DELETE "));
    let target = target.and_then(|line| line.split(' ').next());
    let (_, key) = parts(target.unwrap_or_default());
    let status = match objects.remove(&key) {
        Some(_) => "202 Accepted",
        None => "404 Not Found",
    };
    let part = format!(
        "--b\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\nHTTP/1.1 {status}\r\n\r\n\r\n--b--\r\n"
    );
    Answer::new(202, part).with("content-type", "multipart/mixed; boundary=b")
}
