//! The start and the shutdown of a server: ports, connections, health, drain.

use std::net::SocketAddr;
use std::time::Duration;

use digits_server::{Drained, GrpcServer, RequestMetrics, Routes, ServerConfig};
use digits_testing::{patience, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use crate::support::h2::Client;
use crate::support::{Running, count, say, series, within};

fn check_request(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

/// Polls until the port refuses connections.
async fn refuses(address: SocketAddr) {
    let refused = until("the port refuses connections", async || {
        Ok(TcpStream::connect(address).await.err())
    });
    refused.await.expect("refused");
}

#[tokio::test]
async fn a_taken_port_is_reported_with_its_address_and_flag() {
    let (_held, address) = GrpcServer::bind(ServerConfig::default())
        .await
        .expect("bound");
    let config = ServerConfig {
        listen: address,
        ..ServerConfig::default()
    };
    let error = GrpcServer::bind(config)
        .await
        .err()
        .expect("taken")
        .to_string();
    assert!(error.contains(&address.to_string()), "{error}");
    assert!(error.contains("the port is taken"), "{error}");
    assert!(error.contains("--listen"), "{error}");
}

#[tokio::test]
async fn draining_finishes_requests_in_flight_and_refuses_connections() {
    let config = ServerConfig {
        drain: patience() * 2,
        ..ServerConfig::default()
    };
    let server = Running::start("t_drain", config).await;
    let channel = server.channel().await;
    let held = tokio::spawn(say(channel.clone(), "hold"));
    server.entered(1).await;
    // Two that would delay the shutdown forever: a health watch and a silent connection.
    let mut watch = HealthClient::new(channel.clone())
        .watch(check_request(""))
        .await
        .expect("watched")
        .into_inner();
    within(watch.message()).await.expect("the first status");
    let _silent = server.tcp().await;

    server.shutdown.cancel();
    refuses(server.address).await;
    let ended = within(watch.message()).await.expect_err("ended");
    assert_eq!(ended.code(), Code::Unavailable);
    assert!(!server.task.is_finished(), "a request is in flight");

    server.echo.gate.send_replace(true);
    assert_eq!(
        within(held).await.expect("no panic").expect("answered"),
        "hold"
    );
    drop(channel);
    assert_eq!(server.ended().await, Drained::Complete);
}

#[tokio::test]
async fn requests_are_aborted_after_the_drain_time() {
    let config = ServerConfig {
        drain: Duration::from_millis(100),
        ..ServerConfig::default()
    };
    let server = Running::start("t_aborted", config).await;
    let channel = server.channel().await;
    let held = tokio::spawn(say(channel.clone(), "hold"));
    server.entered(1).await;
    let mut numbers = count(channel, "forever").await.expect("counts");
    within(numbers.message()).await.expect("the first number");

    server.shutdown.cancel();
    assert!(
        within(held).await.expect("no panic").is_err(),
        "it was aborted"
    );
    assert!(within(numbers.message()).await.is_err(), "it was aborted");
    assert_eq!(server.ended().await, Drained::Aborted { requests: 2 });
}

#[tokio::test]
async fn a_client_that_is_asked_to_reconnect_finds_the_port_open() {
    let config = ServerConfig {
        drain: patience() * 2,
        linger: patience(),
        ..ServerConfig::default()
    };
    let server = Running::start("t_linger", config).await;
    let mut old = Client::connect(&server).await;
    old.acknowledged().await.expect("connected");
    server.shutdown.cancel();
    while old.acknowledged().await.is_some() {}
    for _ in 0..3 {
        assert_eq!(
            say(server.channel().await, "seven").await.expect("said"),
            "seven"
        );
    }
    assert!(!server.task.is_finished());
}

#[tokio::test]
async fn a_connection_that_waits_to_be_accepted_is_answered_although_the_port_closes() {
    let (server, address) = GrpcServer::bind(ServerConfig::default())
        .await
        .expect("bound");
    let mut waiting = TcpStream::connect(address).await.expect("connected");
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let metrics = RequestMetrics::new("t_backlog", &[]);
    let serving = tokio::spawn(server.serve(Routes::default(), metrics, shutdown));
    refuses(address).await;
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    waiting.write_all(request).await.expect("sent");
    let mut answer = String::new();
    within(waiting.read_to_string(&mut answer))
        .await
        .expect("read");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert_eq!(within(serving).await.expect("no panic"), Drained::Complete);
}

#[tokio::test]
async fn dropping_the_server_closes_its_connections() {
    let server = Running::start("t_drop", ServerConfig::default()).await;
    let held = tokio::spawn(say(server.channel().await, "hold"));
    server.entered(1).await;
    server.task.abort();
    assert!(
        within(held).await.expect("no panic").is_err(),
        "it was aborted"
    );
    refuses(server.address).await;
}

#[tokio::test]
async fn a_connection_over_the_limit_is_closed_until_another_one_ends() {
    let config = ServerConfig {
        max_connections: 1,
        ..ServerConfig::default()
    };
    let server = Running::start("t_many", config).await;
    let channel = server.channel().await;
    let held = tokio::spawn(say(channel.clone(), "hold"));
    server.entered(1).await;
    let mut second = server.tcp().await;
    let mut byte = [0];
    let closed = within(second.read(&mut byte)).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    assert!(say(channel.clone(), "still").await.is_ok());
    let refused = r#"t_many_connections_refused_total{reason="full"}"#;
    assert_eq!(series(refused), Some(1.0));

    server.echo.gate.send_replace(true);
    assert!(within(held).await.expect("no panic").is_ok());
    drop(channel);
    let again = until("a connection is accepted", async || {
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address))?;
        Ok(match endpoint.connect().await {
            Ok(channel) => say(channel, "again").await.ok(),
            Err(_) => None,
        })
    });
    assert_eq!(again.await.expect("accepted"), "again");
}

#[tokio::test]
async fn a_connection_is_closed_gracefully_at_its_maximum_age() {
    let config = ServerConfig {
        max_connection_age: Some(Duration::from_millis(50)),
        ..ServerConfig::default()
    };
    let server = Running::start("t_age", config).await;
    let mut idle = server.tcp().await;
    let mut byte = [0];
    assert!(matches!(within(idle.read(&mut byte)).await, Ok(0) | Err(_)));
    // A request that outlives the maximum age of its connection is still answered. On a slow
    // machine the connection may reach that age before the request arrives; then another one is
    // sent.
    let held = until("a request is held", async || {
        let mut held = tokio::spawn(say(server.channel().await, "hold"));
        let mut entered = server.echo.entered.subscribe();
        tokio::select! {
            _ = entered.wait_for(|count| *count > 0) => Ok(Some(held)),
            _ = &mut held => Ok(None),
        }
    });
    let held = held.await.expect("held");
    let mut witness = server.tcp().await;
    assert!(matches!(
        within(witness.read(&mut byte)).await,
        Ok(0) | Err(_)
    ));
    server.echo.gate.send_replace(true);
    assert_eq!(
        within(held).await.expect("no panic").expect("answered"),
        "hold"
    );
}

#[tokio::test]
async fn a_stream_that_is_held_open_ends_at_the_age_of_its_connection() {
    let config = ServerConfig {
        max_connection_age: Some(Duration::from_millis(50)),
        ..ServerConfig::default()
    };
    let server = Running::start("t_stream_age", config).await;
    // On a slow machine the connection may reach its age before the stream is open.
    let ended = until("a health watch is opened and ends", async || {
        let mut client = HealthClient::new(server.channel().await);
        let Ok(watch) = client.watch(check_request("")).await else {
            return Ok(None);
        };
        let mut watch = watch.into_inner();
        let first = within(watch.message()).await;
        Ok(match first {
            Ok(Some(_)) => Some(within(watch.message()).await.expect_err("ended")),
            _ => None,
        })
    });
    let ended = ended.await.expect("ended");
    assert_eq!(ended.code(), Code::Unavailable);
    assert!(
        ended.message().contains("open the stream again"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn health_is_not_serving_until_it_is_set_and_after_it_is_withdrawn() {
    let server = Running::start("t_health", ServerConfig::default()).await;
    let mut client = HealthClient::new(server.channel().await);
    let (on, off) = (
        ServingStatus::Serving as i32,
        ServingStatus::NotServing as i32,
    );
    for service in ["", "test.v1.Echo"] {
        let answer = client
            .check(check_request(service))
            .await
            .expect("answered");
        assert_eq!(answer.into_inner().status, off, "{service:?} at the start");
    }
    let unknown = client
        .check(check_request("no.Service"))
        .await
        .expect_err("unknown");
    assert_eq!(unknown.code(), Code::NotFound);

    server.health.set_serving().await;
    for service in ["", "test.v1.Echo"] {
        let answer = client
            .check(check_request(service))
            .await
            .expect("answered");
        assert_eq!(answer.into_inner().status, on, "{service:?} when serving");
    }

    server.health.set_not_serving().await;
    let answer = client
        .check(check_request("test.v1.Echo"))
        .await
        .expect("still answered");
    assert_eq!(answer.into_inner().status, off);
}

/// The descriptors hold the services of the trainer too, which this server does not have.
#[tokio::test]
async fn reflection_lists_served_services_and_describes_error_details() {
    let (v1_service, v1alpha_service) = digits_server::reflection(
        digits_proto::FILE_DESCRIPTOR_SET,
        &["digits.v1.InferenceService"],
    )
    .expect("descriptors");
    let server = Running::start_with(
        "t_reflection",
        ServerConfig {
            drain: patience() * 2,
            ..ServerConfig::default()
        },
        |server| server,
        |routes| routes.add_service(v1_service).add_service(v1alpha_service),
    )
    .await;
    let channel = server.channel().await;
    let listed = [
        "digits.v1.InferenceService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ];
    // The client keeps its side of the streams open: the shutdown below must end them.
    macro_rules! list_services {
        ($version:ident) => {{
            use $version::server_reflection_request::MessageRequest;
            use $version::server_reflection_response::MessageResponse;
            let symbols = listed.iter().chain(&["google.rpc.BadRequest"]);
            let symbols = symbols.map(|it| MessageRequest::FileContainingSymbol((*it).to_owned()));
            let list = [MessageRequest::ListServices(String::new())];
            let (open, requests) = tokio::sync::mpsc::channel(8);
            for message in list.into_iter().chain(symbols) {
                let request = $version::ServerReflectionRequest {
                    host: String::new(),
                    message_request: Some(message),
                };
                open.send(request).await.expect("queued");
            }
            let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
            let mut answers =
                $version::server_reflection_client::ServerReflectionClient::new(channel.clone())
                    .server_reflection_info(requests)
                    .await
                    .expect("called")
                    .into_inner();
            let answer = within(answers.message()).await.expect("answered");
            let Some(MessageResponse::ListServicesResponse(list)) =
                answer.expect("an answer").message_response
            else {
                panic!("not a list");
            };
            let names: Vec<_> = list.service.into_iter().map(|it| it.name).collect();
            assert_eq!(names, listed, stringify!($version));
            for symbol in listed.iter().chain(&["google.rpc.BadRequest"]) {
                let answer = within(answers.message()).await.expect("answered");
                let Some(MessageResponse::FileDescriptorResponse(file)) =
                    answer.expect("an answer").message_response
                else {
                    panic!("no file of {symbol}");
                };
                assert!(!file.file_descriptor_proto[0].is_empty());
            }
            (open, answers)
        }};
    }
    let (_open, mut answers) = list_services!(v1);
    let (_open, mut older) = list_services!(v1alpha);

    server.shutdown.cancel();
    for ended in [
        within(answers.message()).await.err(),
        within(older.message()).await.err(),
    ] {
        assert_eq!(ended.expect("ended").code(), Code::Unavailable);
    }
    drop(channel);
    assert_eq!(server.ended().await, Drained::Complete);
}
