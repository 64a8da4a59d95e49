//! Checks of the services and their ports: answering, free, or taken by another program.

use super::check::Check;
use digits_cli::{endpoints::Endpoints, error_report};
use digits_client::{ConnectionFailure, Error, Service, ServingStatus};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The trainer and its ports.
pub async fn trainer(endpoints: &Endpoints) -> Vec<Check> {
    let health = match endpoints.trainer() {
        Ok(client) => client.with_timeout(PATIENCE).health().await,
        Err(error) => Err(error),
    };
    vec![
        service(Service::Trainer, "trainer", 50_051, health, endpoints).await,
        admin("trainer admin", 9_051, "DIGITS_ADMIN_LISTEN").await,
    ]
}

/// The inference service and its ports.
pub async fn inference(endpoints: &Endpoints) -> Vec<Check> {
    let health = match endpoints.inference() {
        Ok(client) => client.with_timeout(PATIENCE).health().await,
        Err(error) => Err(error),
    };
    vec![
        service(Service::Inference, "inference", 50_052, health, endpoints).await,
        admin("inference admin", 9_052, "DIGITS_ADMIN_LISTEN").await,
    ]
}

/// Whether the service answers at its URL; if that is this machine's default port and nothing
/// answers, whether the port is free.
async fn service(
    service: Service,
    name: &str,
    port: u16,
    health: Result<ServingStatus, Error>,
    endpoints: &Endpoints,
) -> Check {
    let url = endpoints.url(service);
    match health {
        Ok(ServingStatus::Serving) => Check::ok(name, format!("serving at {url}")),
        Ok(status) => {
            let remedy = match service {
                Service::Inference => "it serves once a checkpoint is published: `digits train`",
                Service::Trainer => "its log and /readyz on its admin port have the cause",
            };
            let status = status.as_str_name().to_ascii_lowercase().replace('_', " ");
            Check::warn(name, format!("answers at {url}, but is {status}"), remedy)
        }
        Err(error @ (Error::Url { .. } | Error::Certificates(_))) => {
            Check::fail(name, error.to_string(), "correct the URL or the files")
        }
        Err(
            error @ Error::Connection {
                failure: ConnectionFailure::Tls(_),
                ..
            },
        ) => {
            let mut lines = error_report::lines(&error.into(), endpoints).into_iter();
            let what = lines.next().unwrap_or_default();
            Check::fail(name, what, &lines.next().unwrap_or_default())
        }
        Err(_) if url == service.default_url() => port_only(name, port, "DIGITS_LISTEN").await,
        Err(_) => {
            let remedy = "start it there, or correct the URL";
            Check::fail(name, format!("does not answer at {url}"), remedy)
        }
    }
}

async fn admin(name: &str, port: u16, variable: &str) -> Check {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match timeout(PATIENCE, livez(address)).await {
        Ok(Ok(200)) => Check::ok(name, format!("answering on port {port}")),
        Ok(Ok(503)) => {
            let message = format!("answers on port {port}, but /livez fails");
            Check::fail(name, message, "its log has the cause; restart it")
        }
        _ => port_only(name, port, variable).await,
    }
}

/// The HTTP status of `/livez`; 0 for an answer that is not HTTP/1.1.
async fn livez(address: SocketAddr) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    let status = head.strip_prefix(b"HTTP/1.1 ").unwrap_or_default();
    let status = str::from_utf8(status).unwrap_or_default();
    Ok(status.parse().unwrap_or_default())
}

async fn port_only(name: &str, port: u16, variable: &str) -> Check {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(_) => Check::ok(name, format!("not running; port {port} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Check::fail(
            name,
            format!("port {port} is taken by another program"),
            &format!(
                "stop that program (`ss -ltnp 'sport = :{port}'` names it), or choose another port with {variable}"
            ),
        ),
        Err(error) => Check::fail(
            name,
            format!("port {port} cannot be opened: {error}"),
            &format!("choose another port with {variable}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Outcome;
    use super::*;

    #[tokio::test]
    async fn a_taken_port_differs_from_a_free_one() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let port = taken.local_addr().expect("bound").port();
        let check = port_only("x", port, "DIGITS_LISTEN").await;
        assert_eq!(check.outcome, Outcome::Fail);
        assert!(check.message.contains("taken") && check.remedy.contains("DIGITS_LISTEN"));
        drop(taken);
        assert_eq!(
            port_only("x", port, "DIGITS_LISTEN").await.outcome,
            Outcome::Ok
        );
    }

    #[tokio::test]
    async fn a_service_that_is_not_live_differs_from_another_program() {
        for (answer, part) in [
            ("HTTP/1.1 200 OK\r\n\r\n", "answering"),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", "/livez fails"),
            ("SSH-2.0-OpenSSH\r\n", "another program"),
        ] {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
            let listener = listener.expect("a port");
            let port = listener.local_addr().expect("bound").port();
            let answering = async {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                stream.write_all(answer.as_bytes()).await.expect("sent");
                // Closing a connection with unread bytes would reset it.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            };
            let checking = admin("x", port, "DIGITS_ADMIN_LISTEN");
            let (check, ()) = tokio::join!(checking, answering);
            assert!(check.message.contains(part), "{}", check.message);
        }
    }
}
