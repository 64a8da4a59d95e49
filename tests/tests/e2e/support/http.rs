//! Plain HTTP/1.1 requests, each on a connection of its own.

use anyhow::{Context as _, Result, ensure};
use digits_testing::patience;
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

/// Sends `request`, a request line without its version and any header lines, to `host:port`;
/// returns the head of the response in lower case, and its body.
///
/// # Errors
/// When there is no response in time.
pub fn request(address: &str, request: &str) -> Result<(String, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(patience()))?;
    let (line, headers) = request.split_once("\r\n").unwrap_or((request, ""));
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n"
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response
        .split_once("\r\n\r\n")
        .context("an HTTP response")?;
    Ok((head.to_ascii_lowercase(), body.to_owned()))
}

/// Body of a GET.
///
/// # Errors
/// When the status is not 200.
pub fn get(address: &str, path: &str) -> Result<String> {
    let (head, body) = request(address, &format!("GET {path}"))?;
    ensure!(
        head.starts_with("http/1.1 200"),
        "GET {path} on {address}: {head}"
    );
    Ok(body)
}
