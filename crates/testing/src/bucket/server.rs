//! An HTTP server with a bucket in memory, on threads of this process.

use super::wire::{Answer, Interface, Objects, Request, answer};
use anyhow::Result;
use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};
use url::Url;

/// A running server. Its threads end with the process.
pub(super) struct Server {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    interface: Interface,
    objects: Mutex<Objects>,
    silence: Mutex<Silence>,
    ended: Condvar,
}

/// Whether requests are held back, and how many are.
#[derive(Default)]
struct Silence {
    is_on: bool,
    held: usize,
}

impl Server {
    pub(super) fn start(interface: Interface) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            interface,
            objects: Mutex::default(),
            silence: Mutex::default(),
            ended: Condvar::new(),
        });
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                thread::spawn(move || server.serve(connection));
            }
        });
        Ok(Self { address, shared })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn fall_silent(&self) {
        *lock(&self.shared.silence) = Silence {
            is_on: true,
            held: 0,
        };
    }

    pub(super) fn holds_requests(&self) -> bool {
        lock(&self.shared.silence).held > 0
    }

    pub(super) fn speak_again(&self) {
        lock(&self.shared.silence).is_on = false;
        self.shared.ended.notify_all();
    }
}

impl Shared {
    /// Answers the requests of a connection until it closes.
    fn serve(&self, connection: TcpStream) -> Option<()> {
        let mut writer = connection.try_clone().ok()?;
        let mut reader = BufReader::new(connection);
        while let Some(request) = read(&mut reader) {
            self.await_end_of_silence();
            let Answer {
                status,
                headers,
                body,
            } = answer(self.interface, &request, &mut lock(&self.objects));
            let length = body.len();
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n{headers}\r\n");
            let is_head = request.method == "HEAD";
            let body = if is_head { &[][..] } else { &body };
            writer.write_all(&[head.as_bytes(), body].concat()).ok()?;
        }
        None
    }

    fn await_end_of_silence(&self) {
        let mut silence = lock(&self.silence);
        if silence.is_on {
            silence.held += 1;
            let ended = self.ended.wait_while(silence, |silence| silence.is_on);
            drop(ended);
        }
    }
}

/// A panic of another thread fails the test by itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
