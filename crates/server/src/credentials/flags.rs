//! The flags that name certificate, key, certificate authorities and tokens.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};

/// Flags about access to the gRPC port, the same in both services.
#[derive(Clone, Debug, Default, Args)]
pub struct CredentialFlags {
    /// File with the certificate chain (PEM) of the gRPC port, which then accepts TLS only; needs
    /// --tls-key-file. Read again every 5 seconds. Without it, the port is plain text.
    #[arg(long, env = "DIGITS_TLS_CERTIFICATE_FILE", value_name = "FILE", value_parser = path())]
    pub tls_certificate_file: Option<PathBuf>,
    /// File with the private key (PEM) of the certificate in --tls-certificate-file. Read again
    /// every 5 seconds.
    #[arg(long, env = "DIGITS_TLS_KEY_FILE", value_name = "FILE", value_parser = path())]
    pub tls_key_file: Option<PathBuf>,
    /// File with certificate authorities (PEM): every client must present a certificate that one of
    /// them signed; needs --tls-certificate-file. Read again every 5 seconds. Without it, none is
    /// needed.
    #[arg(long, env = "DIGITS_TLS_CLIENT_CA_FILE", value_name = "FILE", value_parser = path())]
    pub tls_client_ca_file: Option<PathBuf>,
    /// File with bearer tokens, a line "NAME TOKEN" each, # starts a comment; every call must
    /// present one of them. Read again every 5 seconds. Without it, no token is needed.
    #[arg(long, env = "DIGITS_TOKEN_FILE", value_name = "FILE", value_parser = path())]
    pub token_file: Option<PathBuf>,
}

/// Accepts an empty path, which counts as none: an environment can undo what another one sets.
fn path() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}
