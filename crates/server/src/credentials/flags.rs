//! Flags about who may reach the gRPC port: certificates, tokens, JWTs and roles.

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
    /// File with the roles of clients that present a certificate or a JWT, one line `ROLES WHO` for
    /// each, such as `predict DNS:loader.example` or
    /// `watch,train sub=system:serviceaccount:digits:ci` (# starts a comment); needs
    /// --tls-client-ca-file or --jwt-issuer. Every call must then present a listed certificate or
    /// JWT, or a token of --token-file. Read again every 5 seconds.
    #[arg(long, env = "DIGITS_ROLE_FILE", value_name = "FILE", value_parser = path())]
    pub role_file: Option<PathBuf>,
    /// Issuer (claim iss) whose JWTs are accepted as bearer tokens; needs --jwt-audience,
    /// --jwt-keys and --role-file. Default: no JWT is accepted.
    #[arg(long, env = "DIGITS_JWT_ISSUER", value_name = "ISSUER")]
    pub jwt_issuer: Option<String>,
    /// Audience (claim aud) that JWTs must be for; needs --jwt-issuer.
    #[arg(long, env = "DIGITS_JWT_AUDIENCE", value_name = "AUDIENCE")]
    pub jwt_audience: Option<String>,
    /// The issuer's public keys (JSON Web Key Set): a file, which is read again every 5 seconds, or
    /// an https:// address, which is fetched every 5 minutes, and for a token by an unknown key at
    /// most every 10 seconds; needs --jwt-issuer.
    #[arg(long, env = "DIGITS_JWT_KEYS", value_name = "FILE|URL")]
    pub jwt_keys: Option<String>,
    /// File with the CA certificates (PEM) to trust for the address in --jwt-keys. Read at each
    /// fetch. Default: the public CAs and those of the system.
    #[arg(long, env = "DIGITS_JWT_KEYS_CA_FILE", value_name = "FILE", value_parser = path())]
    pub jwt_keys_ca_file: Option<PathBuf>,
    /// File with a bearer token to send to the address in --jwt-keys. Read at each fetch. Default:
    /// none is sent.
    #[arg(long, env = "DIGITS_JWT_KEYS_TOKEN_FILE", value_name = "FILE", value_parser = path())]
    pub jwt_keys_token_file: Option<PathBuf>,
}

/// Accepts an empty path, which counts as unset, so that a variable can be cleared by an empty
/// value.
fn path() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}
