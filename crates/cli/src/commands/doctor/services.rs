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
use tonic::Code;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a response that are read at most.
const MAX_RESPONSE_BYTES: u64 = 4 << 20;
const OTHER_URL: &str = "start it there, or correct the URL";
const ADMIN_LISTEN: &str = "DIGITS_ADMIN_LISTEN";

/// The trainer and its ports.
pub async fn trainer(endpoints: &Endpoints) -> Vec<Check> {
    let health = match endpoints.trainer() {
        Ok(client) => client.with_timeout(PATIENCE).health().await,
        Err(error) => Err(error),
    };
    let checked = service(Service::Trainer, "trainer", 50_051, health, endpoints).await;
    let admin = admin_of(Service::Trainer, endpoints).await;
    [checked].into_iter().chain(admin).collect()
}

/// The inference service and its ports.
pub async fn inference(endpoints: &Endpoints) -> Vec<Check> {
    let health = match endpoints.inference() {
        Ok(client) => client.with_timeout(PATIENCE).health().await,
        Err(error) => Err(error),
    };
    let checked = service(Service::Inference, "inference", 50_052, health, endpoints).await;
    let admin = admin_of(Service::Inference, endpoints).await;
    [checked].into_iter().chain(admin).collect()
}

/// The admin port of a service at its default address. Of another one it is not known: on the
/// default admin port there may be another process.
async fn admin_of(service: Service, endpoints: &Endpoints) -> Option<Check> {
    if endpoints.url(service) != service.default_url() {
        return None;
    }
    let (name, port) = match service {
        Service::Trainer => ("trainer admin", 9_051),
        Service::Inference => ("inference admin", 9_052),
    };
    Some(admin(service, name, port).await)
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
        Err(Error::Status { status, .. }) if status.code() == Code::NotFound => Check::fail(
            name,
            format!("another service answers at {url}"),
            &format!("give the URL of the {service} with --{name}"),
        ),
        Err(
            error @ (Error::Status { .. }
            | Error::Connection {
                failure: ConnectionFailure::Tls(_) | ConnectionFailure::Broken(_),
                ..
            }),
        ) => {
            let mut lines = error_report::lines(&error.into(), endpoints).into_iter();
            let what = lines.next().unwrap_or_default();
            let remedy = lines.next();
            Check::fail(name, what, remedy.as_deref().unwrap_or(OTHER_URL))
        }
        Err(_) if url == service.default_url() => port_only(name, port, "DIGITS_LISTEN").await,
        Err(_) => Check::fail(name, format!("does not answer at {url}"), OTHER_URL),
    }
}

async fn admin(service: Service, name: &str, port: u16) -> Check {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let live = match timeout(PATIENCE, get(address, "/livez")).await {
        Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200 ") => true,
        Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 503 ") => false,
        _ => return port_only(name, port, ADMIN_LISTEN).await,
    };
    // Other programs have a /livez too.
    let metrics = timeout(PATIENCE, get(address, "/metrics")).await;
    let metrics = metrics.ok().and_then(Result::ok).unwrap_or_default();
    let has = |service| metrics.contains(build_info(service));
    let other = match service {
        Service::Trainer => Service::Inference,
        Service::Inference => Service::Trainer,
    };
    if has(other) {
        let message = format!("port {port} is the admin port of the {other}");
        let remedy = format!("give each service its own port with {ADMIN_LISTEN}");
        return Check::fail(name, message, &remedy);
    }
    if !has(service) {
        return taken(name, port, ADMIN_LISTEN);
    }
    if live {
        return Check::ok(name, format!("answering on port {port}"));
    }
    let message = format!("answers on port {port}, but /livez fails");
    Check::fail(name, message, "its log has the cause; restart it")
}

/// The metric by which a service is recognized.
fn build_info(service: Service) -> &'static str {
    match service {
        Service::Trainer => "digits_trainer_build_info",
        Service::Inference => "digits_inference_build_info",
    }
}

/// The response of HTTP/1.1 to a path, cut off after some bytes.
async fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream
        .take(MAX_RESPONSE_BYTES)
        .read_to_end(&mut response)
        .await?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}

fn taken(name: &str, port: u16, variable: &str) -> Check {
    let remedy = format!(
        "stop that program (`ss -ltnp 'sport = :{port}'` names it), or choose another port with {variable}"
    );
    let message = format!("port {port} is taken by another program");
    Check::fail(name, message, &remedy)
}

async fn port_only(name: &str, port: u16, variable: &str) -> Check {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(_) => Check::ok(name, format!("not running; port {port} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken(name, port, variable),
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
        let own = "digits_trainer_build_info 1";
        for (status, metrics, part) in [
            ("HTTP/1.1 200 OK", own, "answering"),
            ("HTTP/1.1 503 Service Unavailable", own, "/livez fails"),
            ("SSH-2.0-OpenSSH", "", "another program"),
            ("HTTP/1.1 200 OK", "go_goroutines 8", "another program"),
            (
                "HTTP/1.1 200 OK",
                "digits_inference_build_info 1",
                "of the inference service",
            ),
        ] {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
            let listener = listener.expect("a port");
            let port = listener.local_addr().expect("bound").port();
            let answering = async {
                loop {
                    let (mut stream, _) = listener.accept().await.expect("a connection");
                    let mut head = [0; 14];
                    stream.read_exact(&mut head).await.expect("a request");
                    let answer = match head.starts_with(b"GET /metrics ") {
                        true => format!("HTTP/1.1 200 OK\r\n\r\n{metrics}\n"),
                        false => format!("{status}\r\n\r\n"),
                    };
                    stream.write_all(answer.as_bytes()).await.expect("sent");
                    stream.shutdown().await.expect("closed");
                    // Closing a connection with unread bytes would reset it.
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            };
            let check = tokio::select! {
                check = admin(Service::Trainer, "x", port) => check,
                () = answering => unreachable!("it never ends"),
            };
            assert!(
                check.message.contains(part),
                "{status} {metrics}: {}",
                check.message
            );
        }
    }
}
