//! Starts what stands behind buckets, and makes a bucket on each.

use super::{
    program::{Program, own_address, own_ports},
    running::{Bucket, Host},
    server::Server,
    variables::{azure_variables, google_variables, s3_variables},
    wire::{Interface, NAME, TOKEN},
};
use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::hmac;
use std::{
    env,
    ffi::OsString,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
};

/// Azurite's account, and its key, which Microsoft publishes:
/// <https://learn.microsoft.com/azure/storage/common/storage-use-azurite>.
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// SeaweedFS's ports for gRPC are its other ports plus this number.
const GRPC: u16 = 10_000;

/// What stands behind a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Answers of this process to what the storage asks.
    InProcess(Interface),
    /// moto, an emulation of S3 in Python.
    Moto,
    /// SeaweedFS, through its S3 gateway.
    SeaweedFs,
    /// Azurite, Microsoft's emulation of Azure Blob Storage.
    Azurite,
}

impl Bucket {
    /// Starts the backend with an empty bucket; what it writes lies in `dir`.
    ///
    /// # Errors
    /// When its program is missing or does not come up; the message says how to get it.
    pub async fn start(backend: Backend, dir: &Path) -> Result<Self> {
        match backend {
            Backend::InProcess(interface) => in_process(interface),
            Backend::Moto => moto(dir).await,
            Backend::SeaweedFs => seaweedfs(dir).await,
            Backend::Azurite => azurite(dir).await,
        }
    }
}

fn python() -> OsString {
    env::var_os("DIGITS_PYTHON").unwrap_or_else(|| "python3".into())
}

fn in_process(interface: Interface) -> Result<Bucket> {
    let server = Server::start(interface)?;
    let address = server.address().to_owned();
    let variables = match interface {
        Interface::S3 => s3_variables(&address),
        Interface::Google => google_variables(&address),
        Interface::Azure => {
            let token = ("AZURE_STORAGE_TOKEN", TOKEN.to_owned());
            azure_variables(&address, "account", token)
        }
    };
    Ok(Bucket {
        host: Host::Thread(server),
        interface,
        address,
        variables,
    })
}

async fn moto(dir: &Path) -> Result<Bucket> {
    let mut command = Command::new(python());
    command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]);
    let mut program = Program::start("moto", command, dir)?;
    let address = program.announced("Running on ").await?;
    created(&address, &format!("PUT /{NAME}"), &[])?;
    Ok(Bucket {
        host: Host::Program(program),
        interface: Interface::S3,
        variables: s3_variables(&address),
        address,
    })
}

/// SeaweedFS with all its components in one process.
async fn seaweedfs(dir: &Path) -> Result<Bucket> {
    let weed = env::var_os("DIGITS_WEED").context("DIGITS_WEED names no program: use make")?;
    let (ip, ports) = (own_address(), own_ports());
    let [master, volume, filer, s3] = ports;
    let key = format!(r#"{{"accessKey": "test", "secretKey": "{TOKEN}"}}"#);
    let identity = format!(r#"{{"name": "test", "credentials": [{key}], "actions": ["Admin"]}}"#);
    let identities = format!(r#"{{"identities": [{identity}]}}"#);
    fs::write(dir.join("s3.json"), identities)?;
    let mut command = Command::new(weed);
    command
        .env("TMPDIR", dir)
        .args(["server", "-dir=.", "-s3", "-s3.config=s3.json"])
        .args([format!("-ip={ip}"), format!("-ip.bind={ip}")])
        .args([
            format!("-master.port={master}"),
            format!("-volume.port={volume}"),
        ])
        .args([format!("-filer.port={filer}"), format!("-s3.port={s3}")])
        .args([
            "-master.peers=none",
            "-master.telemetry=false",
            "-s3.iam=false",
        ])
        .args([
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.autoCreateBucket=false",
        ])
        .args(["-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"])
        .args(["-volume.max=8", "-master.volumeSizeLimitMB=64"]);
    let mut program = Program::start("seaweedfs", command, dir)?;
    for (port, component) in ports.iter().zip(["master", "volume", "filer", "s3"]) {
        let port = port + GRPC;
        program.leaves(format!("/tmp/seaweedfs-{component}-grpc-{port}.sock"));
    }
    // Its filer keeps a bucket as a folder.
    let filer = format!("http://{ip}:{filer}");
    let address = format!("http://{ip}:{s3}");
    let ready = |_: &str| {
        let made = status(&filer, &format!("POST /buckets/{NAME}/"), &[]).ok()?;
        // Without credentials a key is denied, once the gateway knows its identities.
        let denied = status(&address, &format!("GET /{NAME}/key"), &[]).ok()?;
        // Made before.
        (made == 409 && denied == 403).then_some(())
    };
    program.awaited(ready).await?;
    Ok(Bucket {
        host: Host::Program(program),
        interface: Interface::S3,
        variables: s3_variables(&address),
        address,
    })
}

async fn azurite(dir: &Path) -> Result<Bucket> {
    let azurite =
        env::var_os("DIGITS_AZURITE").context("DIGITS_AZURITE names no program: use make")?;
    let mut command = Command::new(azurite);
    command
        .args(["--blobHost", "127.0.0.1", "--blobPort", "0"])
        .args(["--inMemoryPersistence", "--disableTelemetry"]);
    let mut program = Program::start("azurite", command, dir)?;
    let address = program.announced("successfully listens on ").await?;
    create_container(&address)?;
    let key = ("AZURE_STORAGE_ACCOUNT_KEY", ACCOUNT_KEY.to_owned());
    Ok(Bucket {
        host: Host::Program(program),
        interface: Interface::Azure,
        variables: azure_variables(&format!("{address}/{ACCOUNT}"), ACCOUNT, key),
        address,
    })
}

/// Creates the container by a request that is signed with the account's key:
/// <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>.
fn create_container(address: &str) -> Result<()> {
    const DATE: &str = "Tue, 01 Jan 2030 00:00:00 GMT";
    const VERSION: &str = "2021-12-02";
    let path = format!("/{ACCOUNT}/{NAME}");
    // The method; eleven standard headers, none of which is sent; headers of Azure; the resource.
    let text = format!(
        "PUT{}x-ms-date:{DATE}\nx-ms-version:{VERSION}\n/{ACCOUNT}{path}\nrestype:container",
        "\n".repeat(12)
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64_STANDARD.decode(ACCOUNT_KEY)?);
    let signature = BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes()));
    let headers = [
        format!("x-ms-date: {DATE}"),
        format!("x-ms-version: {VERSION}"),
        format!("Authorization: SharedKey {ACCOUNT}:{signature}"),
    ];
    created(address, &format!("PUT {path}?restype=container"), &headers)
}

fn created(address: &str, request: &str, headers: &[String]) -> Result<()> {
    let status = status(address, request, headers)?;
    ensure!(status / 100 == 2, "{request}: HTTP status {status}");
    Ok(())
}

/// The status of the response to a request without a body, such as `PUT /bucket`.
fn status(address: &str, request: &str, headers: &[String]) -> Result<u16> {
    let host = address.strip_prefix("http://").context("an address")?;
    let mut connection = TcpStream::connect(host)?;
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    write!(
        connection,
        "{request} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n{headers}\r\n"
    )?;
    let mut response = Vec::new();
    connection.read_to_end(&mut response)?;
    let response = String::from_utf8_lossy(&response);
    let status = response.split(' ').nth(1).context("no HTTP response")?;
    Ok(status.parse()?)
}
