//! A bucket in memory that answers what the storage asks Google (XML API) and Azure (Blob service):
//! create if absent, read, list and delete.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};
use url::{Url, form_urlencoded};

/// What a client must send as its bearer token.
pub const TOKEN: &str = "token";
const DATE: &str = "Tue, 01 Jan 2030 00:00:00 GMT";

#[derive(Clone, Copy, Debug)]
pub enum Interface {
    Google,
    Azure,
}

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A running server. Its threads end with the process.
pub struct Server {
    pub address: String,
    objects: Objects,
}

impl Server {
    pub fn start(interface: Interface) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("its address"));
        let objects = Objects::default();
        let shared = Arc::clone(&objects);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (objects, connection) =
                    (Arc::clone(&shared), connection.expect("a connection"));
                thread::spawn(move || serve(interface, connection, &objects));
            }
        });
        Self { address, objects }
    }

    pub fn keys(&self) -> Vec<String> {
        let objects = self.objects.lock().expect("no panic");
        objects.keys().cloned().collect()
    }
}

struct Request {
    method: String,
    url: Url,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn query(&self, name: &str) -> Option<String> {
        let mut pairs = self.url.query_pairs();
        let found = pairs.find(|(key, _)| key == name)?;
        Some(found.1.into_owned())
    }
}

struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: String::new(),
            body: body.into(),
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        let _ = write!(self.headers, "{name}: {value}\r\n");
        self
    }
}

/// Answers the requests of a connection until it closes.
fn serve(interface: Interface, connection: TcpStream, objects: &Objects) {
    let mut writer = connection.try_clone().expect("a second handle");
    let mut reader = BufReader::new(connection);
    while let Some(request) = read(&mut reader) {
        let is_head = request.method == "HEAD";
        let authorized = request.headers.get("authorization");
        let answer = match authorized.is_some_and(|it| *it == format!("Bearer {TOKEN}")) {
            true => answer(interface, &request, &mut objects.lock().expect("no panic")),
            false => Answer::new(401, ""),
        };
        let Answer {
            status,
            headers,
            body,
        } = answer;
        let length = body.len();
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n{headers}\r\n");
        let body = if is_head { &[][..] } else { &body };
        if writer.write_all(&[head.as_bytes(), body].concat()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|bytes| *bytes > 0)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let url = Url::parse(&format!("http://localhost{target}")).ok()?;
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|it| it.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        url,
        headers,
        body,
    })
}

/// The key in a path, whose slashes may be encoded; empty for the bucket itself.
fn key_of(path: &str) -> String {
    let pair = format!("key={path}");
    let decoded = form_urlencoded::parse(pair.as_bytes()).next();
    let decoded = decoded.expect("a pair").1.into_owned();
    let key = decoded.trim_start_matches('/').strip_prefix("bucket");
    key.expect("the bucket").trim_start_matches('/').to_owned()
}

fn answer(
    interface: Interface,
    request: &Request,
    objects: &mut BTreeMap<String, Vec<u8>>,
) -> Answer {
    let key = &*key_of(request.url.path());
    let absent = match interface {
        Interface::Google => ("x-goog-if-generation-match", "0"),
        Interface::Azure => ("if-none-match", "*"),
    };
    match request.method.as_str() {
        "PUT" if request.headers.get(absent.0).map(String::as_str) != Some(absent.1) => {
            Answer::new(400, "every write creates if absent")
        }
        "PUT" if objects.contains_key(key) => Answer::new(412, "exists"),
        "PUT" => {
            objects.insert(key.to_owned(), request.body.clone());
            Answer::new(201, "").with("etag", "\"1\"")
        }
        "GET" if key.is_empty() => Answer::new(200, list(interface, request, objects)),
        "GET" | "HEAD" => object(request, objects.get(key)),
        "DELETE" => match objects.remove(key) {
            Some(_) => Answer::new(204, ""),
            None => Answer::new(404, ""),
        },
        "POST" => batch(&request.body, objects),
        _ => Answer::new(405, ""),
    }
}

fn object(request: &Request, bytes: Option<&Vec<u8>>) -> Answer {
    let Some(bytes) = bytes else {
        return Answer::new(404, "");
    };
    let range = request
        .headers
        .get("range")
        .or(request.headers.get("x-ms-range"));
    let range = range.and_then(|it| it.strip_prefix("bytes=")?.split_once('-'));
    let answer = match range {
        None => Answer::new(200, bytes.clone()),
        Some((first, last)) => {
            let first: usize = first.parse().expect("a number");
            let end = last.parse().map_or(bytes.len(), |last: usize| last + 1);
            let range = format!("bytes {first}-{}/{}", end - 1, bytes.len());
            Answer::new(206, &bytes[first..end]).with("content-range", &range)
        }
    };
    answer.with("etag", "\"1\"").with("last-modified", DATE)
}

fn list(interface: Interface, request: &Request, objects: &BTreeMap<String, Vec<u8>>) -> String {
    let prefix = request.query("prefix").unwrap_or_default();
    let after = request.query("start-after").unwrap_or_default();
    let from = request.query("startFrom").unwrap_or_default();
    let mut entries = String::new();
    for (key, bytes) in objects.range(from..) {
        let size = bytes.len();
        if !key.starts_with(&prefix) || (!after.is_empty() && *key <= after) {
            continue;
        }
        let _ = match interface {
            Interface::Google => write!(
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
    match interface {
        Interface::Google => format!("<ListBucketResult>{entries}</ListBucketResult>"),
        Interface::Azure => {
            format!(
                "<EnumerationResults><Blobs>{entries}</Blobs><NextMarker/></EnumerationResults>"
            )
        }
    }
}

/// A batch of Azure with one deletion.
fn batch(body: &[u8], objects: &mut BTreeMap<String, Vec<u8>>) -> Answer {
    let body = String::from_utf8_lossy(body);
    let target = body.lines().find_map(|line| line.strip_prefix("DELETE "));
    let target = target
        .and_then(|line| line.split(' ').next())
        .expect("a deletion");
    let status = match objects.remove(&key_of(target)) {
        Some(_) => "202 Accepted",
        None => "404 Not Found",
    };
    let part = format!(
        "--b\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\nHTTP/1.1 {status}\r\n\r\n\r\n--b--\r\n"
    );
    Answer::new(202, part).with("content-type", "multipart/mixed; boundary=b")
}
