//! An HTTP server for tests of downloads: answers each request as the test decides, or cuts it off.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// A request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub path: String,
    /// Number of earlier requests.
    pub number: usize,
}

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub status: &'static str,
    pub body: Vec<u8>,
    /// Closes the connection after this many bytes of the body, fewer than `Content-Length`.
    pub cut_after: Option<usize>,
}

impl Reply {
    pub(crate) fn status(status: &'static str) -> Self {
        Self {
            status,
            body: Vec::new(),
            cut_after: None,
        }
    }

    pub(crate) fn content(content: &[u8]) -> Self {
        Self {
            body: content.to_vec(),
            ..Self::status("200 OK")
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
                // Errors of a closed connection do not matter; "/stop" comes from drop.
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
        let mut seen = seen.lock().expect("no thread panics with it");
        request.number = seen.len();
        seen.push(request.clone());
    }
    let reply = answer(&request);
    let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", reply.status);
    head += &format!("Content-Length: {}\r\n", reply.body.len());
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(&reply.body[..reply.cut_after.unwrap_or(reply.body.len())])?;
    stream.shutdown(Shutdown::Write)?;
    Ok(false)
}

fn read_request(stream: &TcpStream) -> io::Result<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    // Unread headers would reset the connection when it is closed.
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    Ok(Request {
        path: first.split(' ').nth(1).unwrap_or_default().to_owned(),
        ..Request::default()
    })
}
