//! A small HTTP server on the loopback interface that misbehaves as a test tells it to.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// What a client asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub path: String,
    /// First byte of `Range: bytes=<first>-`.
    pub from: Option<usize>,
    pub if_range: Option<String>,
    /// How many requests came before this one.
    pub number: usize,
}

/// What it gets.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub status: &'static str,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    /// Close the connection after so many bytes of the body, though more were announced.
    pub cut_after: Option<usize>,
}

impl Reply {
    pub(crate) fn status(status: &'static str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            cut_after: None,
        }
    }

    /// The content, or what the request's range leaves of it.
    pub(crate) fn content(request: &Request, content: &[u8], tag: &str) -> Self {
        let headers = vec![format!("ETag: \"{tag}\"")];
        let quoted = format!("\"{tag}\"");
        match request.from {
            Some(from)
                if request
                    .if_range
                    .as_ref()
                    .is_none_or(|asked| *asked == quoted) =>
            {
                if from >= content.len() {
                    return Self::status("416 Range Not Satisfiable");
                }
                let range = format!("{from}-{}/{}", content.len() - 1, content.len());
                let headers = [headers, vec![format!("Content-Range: bytes {range}")]].concat();
                let body = content[from..].to_vec();
                Self {
                    status: "206 Partial Content",
                    headers,
                    body,
                    cut_after: None,
                }
            }
            _ => Self {
                status: "200 OK",
                headers,
                body: content.to_vec(),
                cut_after: None,
            },
        }
    }

    pub(crate) fn cut_after(self, bytes: usize) -> Self {
        Self {
            cut_after: Some(bytes),
            ..self
        }
    }
}

pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that went away is its own affair; "/stop" comes from drop.
                if let Ok(true) = stream.and_then(|stream| serve(stream, &seen, &answer)) {
                    return;
                }
            }
        });
        Self {
            address,
            requests,
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mnist", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests
            .lock()
            .expect("the server did not panic")
            .clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopped = TcpStream::connect(self.address)
            .and_then(|mut stream| stream.write_all(b"GET /stop HTTP/1.1\r\n\r\n"));
        if let (Ok(()), Some(thread)) = (stopped, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    answer: &dyn Fn(&Request) -> Reply,
) -> io::Result<bool> {
    let mut request = read_request(&stream)?;
    if request.path == "/stop" {
        return Ok(true);
    }
    {
        let mut seen = seen.lock().expect("nobody panics with it");
        request.number = seen.len();
        seen.push(request.clone());
    }
    let reply = answer(&request);
    let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", reply.status);
    head += &format!("Content-Length: {}\r\n", reply.body.len());
    for line in &reply.headers {
        head += &format!("{line}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(&reply.body[..reply.cut_after.unwrap_or(reply.body.len())])?;
    stream.shutdown(Shutdown::Write)?;
    Ok(false)
}

fn read_request(stream: &TcpStream) -> io::Result<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut request = Request {
        path: first.split(' ').nth(1).unwrap_or_default().to_owned(),
        ..Request::default()
    };
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let from = value
                    .strip_prefix("bytes=")
                    .and_then(|range| range.strip_suffix('-'));
                request.from = from.and_then(|from| from.parse().ok());
            }
            "if-range" => request.if_range = Some(value.to_owned()),
            _ => {}
        }
    }
    Ok(request)
}
