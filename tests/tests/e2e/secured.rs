//! Both services with TLS and tokens: training and prediction over https, rejection without a
//! token, and a certificate and a token replaced at run time.

use crate::support::{browser::Script, http, python_package};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::sandbox::Sandbox;
use digits_testing::{
    jwt::{SigningKey, key_set, service_account},
    patience, until,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};

/// Secrets in the sandbox's folder.
struct Secrets {
    dir: PathBuf,
    authority: Issuer<'static, KeyPair>,
}

impl Secrets {
    fn new(sandbox: &Sandbox) -> Result<Self> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let dir = sandbox.dir().to_owned();
        fs::write(dir.join("ca.crt"), params.self_signed(&key)?.pem())?;
        let secrets = Self {
            dir,
            authority: Issuer::new(params, key),
        };
        secrets.issue("server")?;
        secrets.issue("client")?;
        fs::write(secrets.dir.join("tokens"), "ci first-secret\n")?;
        fs::write(secrets.dir.join("token"), "first-secret\n")?;
        Ok(secrets)
    }

    /// Writes `NAME.crt` and `NAME.key`.
    fn issue(&self, name: &str) -> Result<()> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        // With the authority's name OpenSSL would take it for self-signed.
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.authority)?;
        let file = |extension| self.dir.join(format!("{name}.{extension}"));
        fs::write(file("crt"), certificate.pem())?;
        fs::write(file("key"), key.serialize_pem())?;
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Flags of a service: TLS, tokens, and a line of log for each request.
    fn flags(&self) -> Vec<String> {
        let files = [
            ("--tls-certificate-file", "server.crt"),
            ("--tls-key-file", "server.key"),
            ("--token-file", "tokens"),
        ];
        let mut flags = vec!["--access-log".to_owned(), "1".to_owned()];
        for (flag, file) in files {
            flags.extend([flag.to_owned(), self.path(file)]);
        }
        flags
    }
}

/// The client with the variables of the sandbox's pair, and then those given.
fn digits(sandbox: &Sandbox, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
    let secure = |url: String| url.replace("http://", "https://");
    let mut command = Command::new(sandbox.binary("digits"));
    command
        .args(arguments)
        .env("DIGITS_TRAINER", secure(sandbox.trainer()?.grpc()))
        .env("DIGITS_INFERENCE", secure(sandbox.inference()?.grpc()))
        .envs(variables.iter().copied());
    Ok(command.output()?)
}

fn refused(output: &Output, code: i32, part: &str) -> Result<()> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(code) && stderr.contains(part),
        "{}, without {part:?}: {stderr}",
        output.status
    );
    Ok(())
}

fn done(output: &Output) -> Result<()> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {stderr}", output.status);
    Ok(())
}

#[tokio::test]
async fn the_client_trains_and_predicts_over_https_with_a_token() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    let secrets = Secrets::new(&sandbox)?;
    let flags = secrets.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    sandbox.start_trainer(&flags).await?;
    let ca = secrets.path("ca.crt");
    let mutual = [flags.clone(), vec!["--tls-client-ca-file", ca.as_str()]].concat();
    sandbox.start_inference(&mutual).await?;

    let (token, certificate, key) = (
        secrets.path("token"),
        secrets.path("client.crt"),
        secrets.path("client.key"),
    );
    let with_ca = [("DIGITS_TLS_CA_FILE", &*ca)];
    let with_token = [with_ca[0], ("DIGITS_CLIENT_TOKEN_FILE", &*token)];
    let all = [
        with_token[0],
        with_token[1],
        ("DIGITS_TLS_CLIENT_CERTIFICATE_FILE", &*certificate),
        ("DIGITS_TLS_CLIENT_KEY_FILE", &*key),
    ];
    let untrusted = digits(&sandbox, &["jobs"], &[])?;
    refused(&untrusted, 69, "is not trusted: give --tls-ca-file")?;
    let unknown = digits(&sandbox, &["jobs"], &with_ca)?;
    refused(&unknown, 77, "needs a token")?;
    let bare = digits(&sandbox, &["model"], &with_token)?;
    refused(&bare, 69, "give --tls-client-certificate-file")?;

    let train = [
        "train",
        "--dataset",
        "synthetic",
        "--synthetic-train",
        "1000",
        "--synthetic-test",
        "100",
        "--train-count",
        "800",
        "--validation-count",
        "200",
        "--epochs",
        "2",
    ];
    done(&digits(&sandbox, &train, &with_token)?)?;
    until("what was trained serves", async || {
        let output = digits(&sandbox, &["model"], &all)?;
        done(&output)?;
        let serves = String::from_utf8_lossy(&output.stdout).contains("% of the requests");
        Ok(serves.then_some(()))
    })
    .await?;

    for python in python_package::pythons("the_client_trains_and_predicts_over_https_with_a_token")
    {
        let secure = |url: String| url.replace("http://", "https://");
        let trainer = secure(sandbox.trainer()?.grpc());
        let inference = secure(sandbox.inference()?.grpc());
        let addresses = [
            ("DIGITS_TRAINER", trainer.as_str()),
            ("DIGITS_INFERENCE", inference.as_str()),
        ];
        python_package::test(&python, &[&addresses, &all[..]].concat())?;
    }
    rotate(&sandbox, &secrets, &with_ca).await?;
    let log = sandbox.trainer()?.log()?;
    ensure!(log.contains("token_name"), "{log}");
    for service in [sandbox.trainer()?, sandbox.inference()?] {
        let log = service.log()?;
        for secret in ["first-secret", "second-secret", "PRIVATE"] {
            ensure!(!log.contains(secret), "a secret in the log: {log}");
        }
        ensure!(!log.contains("ERROR"), "{log}");
        ensure!(!log.contains("stays in use"), "{log}");
    }
    sandbox.stop().await
}

/// Another certificate, and one token in the place of another.
async fn rotate(sandbox: &Sandbox, secrets: &Secrets, with_ca: &[(&str, &str)]) -> Result<()> {
    secrets.issue("server")?;
    fs::write(secrets.dir.join("tokens"), "ci second-secret\n")?;
    until("both are taken", async || {
        let page = http::get(sandbox.trainer()?.admin(), "/metrics")?;
        let name = r#"digits_trainer_credentials_reloads_total{result="reloaded"} "#;
        let line = page.lines().find_map(|line| line.strip_prefix(name));
        let count: u64 = line.context("the counter")?.parse()?;
        Ok((count >= 2).then_some(()))
    })
    .await?;
    let second = secrets.path("second-token");
    fs::write(&second, "second-secret")?;
    let first = secrets.path("token");
    let with = |token| [with_ca[0], ("DIGITS_CLIENT_TOKEN_FILE", token)];
    refused(
        &digits(sandbox, &["jobs"], &with(first.as_str()))?,
        77,
        "does not know the token",
    )?;
    done(&digits(sandbox, &["jobs"], &with(second.as_str()))?)
}

#[test]
fn unusable_credentials_are_refused_at_start() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    let secrets = Secrets::new(&sandbox)?;
    for name in ["digits-trainer", "digits-inference"] {
        for (flags, part) in [
            (vec!["--tls-key-file", "server.key"], "--tls-key-file needs"),
            (
                vec![
                    "--tls-certificate-file",
                    "server.crt",
                    "--tls-key-file",
                    "client.key",
                ],
                "is not the key of",
            ),
            (vec!["--token-file", "server.key"], "--token-file"),
        ] {
            let output = Command::new(sandbox.binary(name))
                .arg("--storage")
                .arg(sandbox.storage())
                .args(["--listen", "127.0.0.1:0"])
                .args(["--admin-listen", "127.0.0.1:0"])
                .args(flags)
                .env("DIGITS_STATE", secrets.path("state"))
                .current_dir(&secrets.dir)
                .output()?;
            refused(&output, 64, part)?;
            let stderr = String::from_utf8_lossy(&output.stderr);
            let lines: Vec<&str> = stderr.lines().collect();
            ensure!(
                lines.last().is_some_and(|line| line.starts_with("error: ")),
                "{name}: {stderr}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn both_pages_request_the_token_and_store_it() -> Result<()> {
    let name = "both_pages_request_the_token_and_store_it";
    let mut sandbox = Sandbox::new(patience())?;
    let secrets = Secrets::new(&sandbox)?;
    let tokens = secrets.path("tokens");
    let flags = ["--token-file", tokens.as_str()];
    sandbox.start_trainer(&flags).await?;
    sandbox.start_inference(&flags).await?;
    for (address, id) in [
        (sandbox.trainer()?.grpc(), "counts"),
        (sandbox.inference()?.grpc(), "notice"),
    ] {
        let arguments = [address.as_str(), "first-secret", id];
        let Some(script) = Script::start("token.mjs", &arguments, sandbox.dir(), name)? else {
            return sandbox.stop().await;
        };
        tokio::task::spawn_blocking(move || script.end()).await??;
    }
    sandbox.stop().await
}

#[tokio::test]
async fn the_client_presents_the_token_of_its_service_account() -> Result<()> {
    const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
    let mut sandbox = Sandbox::new(patience())?;
    let dir = sandbox.dir().to_owned();
    let path = |name: &str| dir.join(name).display().to_string();
    let key = SigningKey::rsa("a");
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let token = |account| key.sign(&service_account(ISSUER, "digits", account, now));
    let rules = "watch,train sub=system:serviceaccount:digits:ci\n";
    for (name, content) in [
        ("keys", key_set(&[&key])),
        ("roles", rules.to_owned()),
        ("ci", token("ci")),
        ("web", token("web")),
    ] {
        fs::write(dir.join(name), content)?;
    }
    let (keys, roles) = (path("keys"), path("roles"));
    let flags = [
        ["--role-file", &roles],
        ["--jwt-issuer", ISSUER],
        ["--jwt-audience", "digits"],
        ["--jwt-keys", &keys],
    ];
    sandbox.start_trainer(flags.as_flattened()).await?;
    let jobs = |account: &str| -> Result<Output> {
        let mut command = Command::new(sandbox.binary("digits"));
        command
            .arg("jobs")
            .env("DIGITS_TRAINER", sandbox.trainer()?.grpc())
            .env("DIGITS_CLIENT_TOKEN_FILE", path(account));
        Ok(command.output()?)
    };
    done(&jobs("ci")?)?;
    let denied = "the client jwt:system:serviceaccount:digits:web has none";
    refused(&jobs("web")?, 77, denied)?;
    sandbox.stop().await
}
