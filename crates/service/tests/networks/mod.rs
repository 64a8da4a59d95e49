//! A service on every address (`[::]`) in network namespaces with IPv4 only, IPv6 only and both.

use std::env;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Output};

use digits_service::Error;
use digits_testing::skip;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{Service, check, serve_until, serving_status, start_on};

/// Addresses of the loopback of the namespace, separated by spaces.
const LOOPBACKS: &str = "TEST_LOOPBACKS";

/// Not a test by itself: the test below runs it in a network namespace.
#[tokio::test]
async fn a_service_in_a_namespace() {
    let Ok(loopbacks) = env::var(LOOPBACKS) else {
        return;
    };
    let every = "[::]:0".parse().expect("an address");
    let service = start_on(every, every, &[]).await;
    let Service { grpc, admin, .. } = service;
    let client = async {
        for ip in loopbacks.split(' ') {
            let ip: IpAddr = ip.parse().expect("an address");
            let status = serving_status(SocketAddr::new(ip, grpc.port())).await;
            assert_eq!(status, ServingStatus::NotServing, "{ip}");
            // It was reached.
            for admin in [SocketAddr::new(ip, admin.port()), admin] {
                let error = check(admin).await.expect_err("not ready");
                assert!(matches!(error, Error::NotReady(_)), "{admin}: {error:?}");
            }
        }
    };
    serve_until(service.running, client).await;
}

fn in_namespace(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-ec", script]);
    command
}

#[test]
fn a_service_on_every_address_is_reached_by_the_protocols_of_its_network() {
    const TEST: &str = "a_service_on_every_address_is_reached_by_the_protocols_of_its_network";
    const UP: &str = "ip link set lo up";
    let sysctl = "/proc/sys/net/ipv6";
    let without_ipv6 = format!("{UP}; echo 1 > {sysctl}/conf/all/disable_ipv6");
    let possible = in_namespace(&without_ipv6).output();
    if !possible.as_ref().is_ok_and(|it| it.status.success()) {
        skip(
            TEST,
            "network namespaces need root, unshare and ip (iproute2)",
        );
        return;
    }
    for (network, set_up, loopbacks) in [
        ("IPv4 only", without_ipv6, "127.0.0.1"),
        (
            "IPv6 only",
            format!("{UP}; ip addr del 127.0.0.1/8 dev lo"),
            "::1",
        ),
        // Where IPv6 sockets do not accept IPv4 unless they ask for it.
        (
            "both",
            format!("{UP}; echo 1 > {sysctl}/bindv6only"),
            "127.0.0.1 ::1",
        ),
    ] {
        let Output {
            status,
            stdout,
            stderr,
        } = in_namespace(&format!(
            "{set_up}; exec \"$0\" --exact networks::a_service_in_a_namespace"
        ))
        .arg(env::current_exe().expect("this program"))
        .env(LOOPBACKS, loopbacks)
        .output()
        .expect("a process");
        let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        assert!(status.success(), "{network}: {text}");
        assert!(text.contains("1 passed"), "{network}: {text}");
    }
}
