//! Flags for the files with certificate, key, CA certificates and tokens.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

/// Flags about access to the gRPC port, the same in both services.
#[derive(Clone, Debug, Default, Args)]
pub struct CredentialFlags {
    /// File with the certificate chain (PEM) of the gRPC port, which then accepts TLS only; needs
    /// --tls-key-file. Read again every 5 seconds. Default: plain text.
    #[arg(long, env = "DIGITS_TLS_CERTIFICATE_FILE", value_name = "FILE", value_parser = path())]
    pub tls_certificate_file: Option<PathBuf>,
    /// File with the private key (PEM) of the certificate in --tls-certificate-file. Read again
    /// every 5 seconds.
    #[arg(long, env = "DIGITS_TLS_KEY_FILE", value_name = "FILE", value_parser = path())]
    pub tls_key_file: Option<PathBuf>,
    /// CA certificates (PEM): every client must present a certificate signed by one of them; needs
    /// --tls-certificate-file. Read again every 5 seconds. Default: client certificates are not
    /// required.
    #[arg(long, env = "DIGITS_TLS_CLIENT_CA_FILE", value_name = "FILE", value_parser = path())]
    pub tls_client_ca_file: Option<PathBuf>,
    /// File of bearer tokens, one line `NAME ROLES SHA256` for each, as `digits token create` prints
    /// it, or `NAME TOKEN` with every role (# starts a comment); every call must present one. Read
    /// again every 5 seconds. Default: no token is required.
    #[arg(long, env = "DIGITS_TOKEN_FILE", value_name = "FILE", value_parser = path())]
    pub token_file: Option<PathBuf>,
}

/// Accepts an empty path, which counts as unset, so that a variable can be cleared by an empty
/// value.
fn path() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}
