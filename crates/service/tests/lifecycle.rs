//! A whole service on free ports, from its start to the end of its shutdown.

mod admin_access;
mod networks;

use std::fs;
use std::net::SocketAddr;

use clap::Parser;
use digits_server::{Routes, ServerConfig};
use digits_service::{
    Error, Foundation, Running, ServiceFlags, ServiceInfo, ServiceReadiness, health_check,
};
use digits_telemetry::supervisor::Task;
use digits_testing::until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const INFO: ServiceInfo = ServiceInfo {
    name: "test",
    metrics_prefix: "test",
    methods: &[],
    roles: &[],
    services: &["digits.v1.InferenceService"],
    descriptors: digits_proto::FILE_DESCRIPTOR_SET,
};

#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    service: ServiceFlags,
}

struct Service {
    grpc: SocketAddr,
    admin: SocketAddr,
    running: Running,
}

async fn start(flags: &[&str]) -> Service {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    start_on(any, any, flags).await
}

async fn start_on(listen: SocketAddr, admin_listen: SocketAddr, flags: &[&str]) -> Service {
    let flags = [&["test", "--shutdown-delay", "0"], flags].concat();
    let flags = Flags::try_parse_from(flags).expect("flags").service;
    let (_, recorder) = digits_telemetry::metrics::build(&[]).expect("a recorder");
    let foundation = Foundation::new(INFO, &flags).expect("no files");
    let config = ServerConfig {
        listen,
        ..ServerConfig::default()
    };
    let bound = foundation.bind(config, admin_listen, recorder);
    let bound = bound.await.expect("free ports");
    bound.announce("no storage", &flags).expect("announced");
    let addresses = bound.addresses();
    Service {
        grpc: addresses.grpc,
        admin: addresses.admin,
        running: bound.start(),
    }
}

async fn check(admin: SocketAddr) -> Result<(), Error> {
    let check = tokio::task::spawn_blocking(move || health_check::check(admin));
    check.await.expect("no panic")
}

async fn serving_status(grpc: SocketAddr) -> ServingStatus {
    let endpoint = Endpoint::from_shared(format!("http://{grpc}")).expect("an address");
    let mut client = HealthClient::new(endpoint.connect().await.expect("connected"));
    let request = HealthCheckRequest {
        service: "digits.v1.InferenceService".to_owned(),
    };
    let response = client.check(request).await.expect("answered");
    response.into_inner().status()
}

/// Serves without becoming ready until `client` has ended.
async fn serve_until(running: Running, client: impl Future<Output = ()>) {
    let shutdown = CancellationToken::new();
    let ready = async |_: ServiceReadiness| {};
    let routes = Routes::default();
    let serving = running.serve(routes, shutdown.clone(), ready, async {}, async {});
    let client = async {
        client.await;
        shutdown.cancel();
    };
    let (served, ()) = tokio::join!(serving, client);
    served.expect("a clean end");
}

#[tokio::test]
async fn ports_answer_under_allowed_hosts() {
    let service = start(&["--allowed-host", "host.docker.internal,10.1.2.3"]).await;
    let ports = [service.grpc, service.admin];
    let client = async {
        for port in ports {
            for (host, refused) in [
                ("host.docker.internal:80", false),
                ("[::ffff:10.1.2.3]", false),
                ("evil.example", true),
            ] {
                let mut stream = TcpStream::connect(port).await.expect("connected");
                let request =
                    format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
                stream.write_all(request.as_bytes()).await.expect("sent");
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.expect("read");
                assert_eq!(answer.starts_with("HTTP/1.1 421 "), refused, "{answer}");
            }
        }
    };
    serve_until(service.running, client).await;
}

#[test]
fn a_wrong_host_or_origin_is_refused_by_its_flag() {
    for (flag, value) in [
        ("--allowed-host", "http://a"),
        ("--cors-origin", "app.example"),
        ("--cors-origin", "https://a.example,https://b.example/page"),
    ] {
        let error = Flags::try_parse_from(["test", flag, value]).expect_err("refused");
        assert!(error.to_string().contains(flag), "{error}");
    }
}

#[tokio::test]
async fn a_service_becomes_ready_drains_and_closes_its_ports() {
    let folder = tempfile::tempdir().expect("a folder");
    let ready_file = folder.path().join("ready.json");
    let path = ready_file.to_str().expect("UTF-8");
    let Service {
        grpc,
        admin,
        running,
    } = start(&["--ready-file", path]).await;
    let expected = format!("{{\"grpc\":\"{grpc}\",\"admin\":\"{admin}\"}}\n");
    assert_eq!(fs::read_to_string(&ready_file).expect("read"), expected);
    let error = check(admin).await.expect_err("not ready yet");
    assert_eq!(error.line(), "not ready: starting");
    assert_eq!(error.exit_code(), 1);

    let shutdown = CancellationToken::new();
    let closing = running.ports_closing().clone();
    let (make_ready, is_ready) = oneshot::channel::<()>();
    let (drained, has_drained) = oneshot::channel();
    let ready = async |readiness: ServiceReadiness| {
        is_ready.await.expect("sent");
        readiness.set_ready().await;
    };
    let stop_work = async move {
        // The requests in flight and the service's own work end together.
        closing.cancelled().await;
        drained.send(()).expect("received");
    };
    let close = async { has_drained.await.expect("the service's work has ended") };
    let client = async {
        assert_eq!(serving_status(grpc).await, ServingStatus::NotServing);
        make_ready.send(()).expect("received");
        until("the service is ready", async || {
            Ok(check(admin).await.is_ok().then_some(()))
        })
        .await
        .expect("ready");
        assert_eq!(serving_status(grpc).await, ServingStatus::Serving);
        shutdown.cancel();
    };
    let serving = running.serve(Routes::default(), shutdown.clone(), ready, stop_work, close);
    let (served, ()) = tokio::join!(serving, client);
    served.expect("a clean end");
    let error = check(admin).await.expect_err("closed");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_service_whose_task_died_for_good_is_neither_ready_nor_serving() {
    let Service {
        grpc,
        admin,
        running,
    } = start(&[]).await;
    let shutdown = CancellationToken::new();
    let supervisor = running.supervisor().clone();
    let ready = async |readiness: ServiceReadiness| {
        readiness.set_ready().await;
        let task = Task::new("compute");
        let dying = supervisor.watch(task, CancellationToken::new(), async { panic!("meant to") });
        dying.await.expect("caught");
        // Such as after a checkpoint was loaded.
        readiness.set_ready().await;
    };
    let client = async {
        until("the service is not serving", async || {
            let status = serving_status(grpc).await;
            Ok((status == ServingStatus::NotServing && check(admin).await.is_err()).then_some(()))
        })
        .await
        .expect("not serving");
        let error = check(admin).await.expect_err("not ready");
        let expected = "not ready: the background task compute died; the log has the cause";
        assert_eq!(error.line(), expected);
        shutdown.cancel();
    };
    let serving = running.serve(
        Routes::default(),
        shutdown.clone(),
        ready,
        async {},
        async {},
    );
    let (served, ()) = tokio::join!(serving, client);
    served.expect("a clean end");
}

#[tokio::test]
async fn a_service_that_has_not_served_closes_its_ports() {
    let Service { admin, running, .. } = start(&[]).await;
    running.close().await;
    let error = check(admin).await.expect_err("closed");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_credential_file_that_cannot_be_used_is_a_configuration_error() {
    let flags = Flags::try_parse_from(["test", "--token-file", "/nowhere"]).expect("flags");
    let error = Foundation::new(INFO, &flags.service)
        .err()
        .expect("refused");
    assert!(error.line().contains("--token-file"), "{}", error.line());
    assert_eq!(error.exit_code(), 64);
}
