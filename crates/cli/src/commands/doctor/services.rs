//! Checks of the services and their ports: answering, free, or taken by something else.

use super::Check;
use digits_cli::{Service, client::Endpoints, secure};
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
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The trainer and its ports.
pub async fn trainer(endpoints: &Endpoints) -> Vec<Check> {
    let grpc = service(Service::Trainer, "trainer", 50_051, endpoints).await;
    vec![
        grpc,
        admin("trainer admin", 9_051, "DIGITS_ADMIN_LISTEN").await,
    ]
}

/// The inference service and its ports.
pub async fn inference(endpoints: &Endpoints) -> Vec<Check> {
    let grpc = service(Service::Inference, "inference", 50_052, endpoints).await;
    vec![
        grpc,
        admin("inference admin", 9_052, "DIGITS_ADMIN_LISTEN").await,
    ]
}

/// Whether the service answers where the client looks for it; where that is this machine's default port and nobody
/// answers, whether the port is free.
async fn service(service: Service, name: &str, port: u16, endpoints: &Endpoints) -> Check {
    let url = endpoints.url(service);
    let channel = match endpoints.channel(service) {
        Ok(channel) => channel,
        Err(error) => return Check::fail(name, error.to_string(), "correct the URL"),
    };
    let mut client = HealthClient::new(channel);
    let request = HealthCheckRequest {
        service: String::new(),
    };
    let answer = timeout(PATIENCE, client.check(request)).await;
    if let Ok(Err(status)) = &answer
        && let Some([what, remedy]) = secure::reason(status, url)
    {
        return Check::fail(name, what, &remedy);
    }
    let Ok(Ok(answer)) = answer else {
        if url != service.default_url() {
            let remedy = "start it there, or correct the URL";
            return Check::fail(name, format!("does not answer at {url}"), remedy);
        }
        return port_only(name, port, "DIGITS_LISTEN").await;
    };
    match answer.into_inner().status() {
        ServingStatus::Serving => Check::ok(name, format!("serving at {url}")),
        status => {
            let remedy = match service {
                Service::Inference => "it serves once a checkpoint is published: `digits train`",
                Service::Trainer => "its log and /readyz on its admin port say why",
            };
            let status = status.as_str_name().to_ascii_lowercase().replace('_', " ");
            Check::warn(name, format!("answers at {url}, but is {status}"), remedy)
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
    use super::super::Outcome;
    use super::*;

    #[tokio::test]
    async fn ports_are_told_apart() {
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
    async fn a_service_that_is_not_live_is_told_from_another_program() {
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
                // Whoever closes first with something unread resets the connection.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            };
            let asking = admin("x", port, "DIGITS_ADMIN_LISTEN");
            let (check, ()) = tokio::join!(asking, answering);
            assert!(check.message.contains(part), "{}", check.message);
        }
    }
}
