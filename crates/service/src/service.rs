//! Runs a service through its stages: set-up, open ports, serving, draining.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use digits_server::health::Health;
use digits_server::{
    Credentials, GrpcServer, MethodRoles, RequestMetrics, Routes, ServerConfig, connect, reflection,
};
use digits_telemetry::admin::{self, AdminServer};
use digits_telemetry::hosts::AllowedHosts;
use digits_telemetry::liveness::Liveness;
use digits_telemetry::metrics::Recorder;
use digits_telemetry::readiness::Readiness;
use digits_telemetry::supervisor::{Supervisor, Task};
use digits_telemetry::traces::Traces;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::Error;
use crate::flags::{AdminAccess, BrowserFlags, ServiceFlags};
use crate::open_files;
use crate::readiness::ServiceReadiness;
use crate::ready_file;

/// Names under which a service appears to its users and operators.
#[derive(Debug, Clone, Copy)]
pub struct ServiceInfo {
    /// Service name in traces.
    pub name: &'static str,
    /// Prefix of the metrics, such as `digits_trainer`.
    pub metrics_prefix: &'static str,
    /// gRPC methods with a metric label of their own.
    pub methods: &'static [&'static str],
    /// Roles that open each gRPC method, where clients must prove who they are.
    pub roles: MethodRoles,
    /// Full names of the gRPC services in health and reflection.
    pub services: &'static [&'static str],
    /// The encoded `google.protobuf.FileDescriptorSet` that has these services, for reflection.
    pub descriptors: &'static [u8],
}

/// Credentials and telemetry, checked before anything is created and before any port opens.
pub struct Foundation {
    /// Supervises the long-lived tasks.
    pub supervisor: Supervisor,
    /// The exporter of traces, if there is one.
    pub traces: Option<Traces>,
    info: ServiceInfo,
    credentials: Credentials,
    admin_access: AdminAccess,
    max_connection_age: Duration,
    max_bytes_in_flight: usize,
    shutdown_delay: Duration,
    shutdown_linger: Duration,
    shutdown_grace: Duration,
    access_log: f64,
    browsers: BrowserFlags,
    ready_file: Option<PathBuf>,
}

impl Foundation {
    /// Reads the credential files and sets up the export of traces. Call it on a runtime, after the
    /// metrics recorder was installed.
    ///
    /// # Errors
    /// When a file or the address of the collector cannot be used.
    pub fn new(info: ServiceInfo, flags: &ServiceFlags) -> Result<Self, Error> {
        let credentials = flags.credentials.load()?;
        check_admin_access(flags.admin_access, &credentials)?;
        Ok(Self {
            credentials,
            admin_access: flags.admin_access,
            traces: flags.requests.traces(info.name)?,
            supervisor: Supervisor::new(info.metrics_prefix, Liveness::default()),
            info,
            max_connection_age: flags.max_connection_age,
            max_bytes_in_flight: flags.max_bytes_in_flight,
            shutdown_delay: flags.shutdown_delay,
            shutdown_linger: flags.shutdown_linger,
            shutdown_grace: flags.shutdown_grace,
            access_log: flags.requests.access_log,
            browsers: flags.browsers.clone(),
            ready_file: flags.ready_file.clone(),
        })
    }

    /// Opens the gRPC port, with the address and limits of `config`, and the admin port.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub async fn bind(
        self,
        config: ServerConfig,
        admin_listen: SocketAddr,
        recorder: Recorder,
    ) -> Result<Bound, Error> {
        let allowed_hosts = AllowedHosts::new(self.browsers.allowed_host.clone());
        let config = ServerConfig {
            cors_origins: self.browsers.cors_origin.clone(),
            allowed_hosts: allowed_hosts.clone(),
            max_connection_age: Some(self.max_connection_age).filter(|age| !age.is_zero()),
            max_bytes_in_flight: self.max_bytes_in_flight,
            max_connections: open_files::allowed_connections(config.max_connections),
            drain: self.shutdown_grace,
            linger: self.shutdown_linger,
            access_log: self.access_log,
            roles: self.info.roles,
            traces: self.traces.clone(),
            credentials: self.credentials.clone(),
            ..config
        };
        let readiness = Readiness::new();
        let liveness = self.supervisor.liveness().clone();
        let (server, grpc) = GrpcServer::bind(config).await?;
        let (admin_server, admin) =
            admin::bind(admin_listen, recorder, readiness.clone(), liveness).await?;
        let admin_server = self.protect(admin_server.with_allowed_hosts(allowed_hosts));
        Ok(Bound {
            foundation: self,
            server,
            admin_server,
            readiness,
            addresses: Addresses { grpc, admin },
        })
    }

    /// Lets only those use the admin port who may.
    fn protect(&self, mut server: AdminServer) -> AdminServer {
        if self.admin_access.has_tls() {
            let credentials = self.credentials.clone();
            server = server.with_tls(Arc::new(move || credentials.admin_acceptor()));
        }
        if self.admin_access.needs_token() {
            let credentials = self.credentials.clone();
            let check = move |headers: &_| credentials.check_scrape(headers);
            server = server.with_scrape_check(Arc::new(check));
        }
        server
    }
}

/// Checks that the port has what its access needs.
fn check_admin_access(access: AdminAccess, credentials: &Credentials) -> Result<(), Error> {
    let missing = if access.has_tls() && !credentials.has_tls() {
        "--admin-access tls needs --tls-certificate-file"
    } else if access.needs_token() && !credentials.takes_tokens() {
        "--admin-access token needs --token-file or --jwt-issuer"
    } else {
        return Ok(());
    };
    Err(Error::Config(missing.to_owned()))
}

/// Addresses of the open ports.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// gRPC.
    pub grpc: SocketAddr,
    /// Metrics and probes.
    pub admin: SocketAddr,
}

/// A service with both ports open, not yet answering: clients that connect wait.
pub struct Bound {
    foundation: Foundation,
    server: GrpcServer,
    admin_server: AdminServer,
    readiness: Readiness,
    addresses: Addresses,
}

impl Bound {
    /// Addresses of the ports.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Logs the addresses and the effective configuration, without secrets, and writes the ready
    /// file. Blocks for the write.
    ///
    /// # Errors
    /// When the ready file cannot be written.
    pub fn announce(&self, storage: &str, config: &impl Debug) -> Result<(), Error> {
        let Addresses { grpc, admin } = self.addresses;
        let name = self.foundation.info.name;
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(%grpc, %admin, storage, version, ?config, "{name} is listening");
        let Some(path) = &self.foundation.ready_file else {
            return Ok(());
        };
        ready_file::write(path, grpc, admin).map_err(|source| Error::ReadyFile {
            path: path.clone(),
            source,
        })
    }

    /// Answers probes and metrics on the admin port from now on, while the service still starts.
    #[must_use]
    pub fn start(self) -> Running {
        let ports_closing = CancellationToken::new();
        // Its port closes with it: /livez is then not answered at all, which fails as well.
        let admin = self.foundation.supervisor.watch(
            Task::new("admin"),
            ports_closing.clone(),
            self.admin_server.serve(ports_closing.clone()),
        );
        Running {
            foundation: self.foundation,
            server: self.server,
            uploads: Vec::new(),
            readiness: self.readiness,
            admin,
            _closed_when_dropped: ports_closing.clone().drop_guard(),
            ports_closing,
        }
    }
}

/// A service whose admin port answers. Dropping it closes both ports.
pub struct Running {
    foundation: Foundation,
    server: GrpcServer,
    uploads: Vec<connect::Upload>,
    readiness: Readiness,
    admin: JoinHandle<()>,
    ports_closing: CancellationToken,
    _closed_when_dropped: DropGuard,
}

impl Running {
    /// Supervises the long-lived tasks.
    #[must_use]
    pub fn supervisor(&self) -> &Supervisor {
        &self.foundation.supervisor
    }

    /// The readiness in `/readyz`, for reasons of not being ready yet.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Cancelled when clients are asked to reconnect, which is `--shutdown-delay` after the shutdown
    /// began. Long streams must end then.
    #[must_use]
    pub fn ports_closing(&self) -> &CancellationToken {
        &self.ports_closing
    }

    /// Changes the gRPC server, such as by pages.
    #[must_use]
    pub fn with_server(mut self, change: impl FnOnce(GrpcServer) -> GrpcServer) -> Self {
        self.server = change(self.server);
        self
    }

    /// Answers a path for the bytes of one field of a method.
    #[must_use]
    pub fn with_upload(mut self, upload: connect::Upload) -> Self {
        self.uploads.push(upload);
        self
    }

    /// Serves `routes`, health and reflection until `shutdown` is cancelled, then drains.
    ///
    /// `ready` reports readiness and is dropped at the shutdown. `stop_work` ends the service's own
    /// work and runs while the requests in flight finish. `close` runs once both have ended; the
    /// last spans are exported after it, since the collector may be away.
    ///
    /// # Errors
    /// When the descriptors for reflection are not valid, or the server ends by itself.
    pub async fn serve<R: Future<Output = ()>>(
        self,
        routes: Routes,
        shutdown: CancellationToken,
        ready: impl FnOnce(ServiceReadiness) -> R,
        stop_work: impl Future<Output = ()>,
        close: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let Foundation {
            info,
            supervisor,
            traces,
            shutdown_delay,
            ..
        } = self.foundation;
        let (health, health_service) = Health::new(info.services).await;
        let (reflection_v1, reflection_v1alpha) = reflection(info.descriptors, info.services)?;
        let routes = routes
            .add_service(health_service)
            .add_service(reflection_v1)
            .add_service(reflection_v1alpha);
        let metrics = RequestMetrics::new(info.metrics_prefix, info.methods);
        let liveness = supervisor.liveness().clone();
        let version = env!("CARGO_PKG_VERSION");
        let api = connect::Api::new(info.descriptors, info.services, (info.name, version))?;
        let api = self
            .uploads
            .into_iter()
            .fold(api, connect::Api::with_upload);
        let server = self.server.with_supervisor(supervisor);
        let server = server.with_connect(api);
        let server = server.with_readiness(self.readiness.clone());
        let mut serving = pin!(server.serve(routes, metrics, self.ports_closing.clone()));
        let readiness = ServiceReadiness {
            health,
            http: self.readiness,
            liveness,
        };
        let until_shutdown = async {
            let reported =
                async { tokio::join!(ready(readiness.clone()), readiness.watch_liveness()) };
            shutdown.run_until_cancelled(reported).await;
            shutdown.cancelled().await;
        };
        tokio::select! {
            _ = &mut serving => return Err(Error::ServerEnded),
            () = until_shutdown => {}
        }
        let close_ports = async {
            readiness.withdraw(shutdown_delay).await;
            self.ports_closing.cancel();
        };
        tokio::join!(serving, close_ports, stop_work);
        close.await;
        finish(self.admin, traces).await;
        Ok(())
    }

    /// Closes both ports of a service that has not served.
    pub async fn close(self) {
        self.ports_closing.cancel();
        finish(self.admin, self.foundation.traces).await;
    }
}

/// Waits for the admin port and exports the last spans.
async fn finish(admin: JoinHandle<()>, traces: Option<Traces>) {
    // A panic in it has been logged.
    let _ = admin.await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
}
