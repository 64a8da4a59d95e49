//! Reads the files of `--tls-ca-file`, `--tls-client-certificate-file`, `--tls-client-key-file` and
//! `--token-file`.

use crate::args::Global;
use digits_cli::Error;
use digits_client::{Credentials, CredentialsError};
use std::{fs, path::Path};

const CA: &str = "--tls-ca-file";
const CERTIFICATE: &str = "--tls-client-certificate-file";
const KEY: &str = "--tls-client-key-file";
const TOKEN: &str = "--token-file";

/// The credentials in the files.
///
/// # Errors
/// [`Error::Usage`] for a certificate without its key or the reverse, [`Error::Input`] for a file
/// that cannot be read or used; both name the flag.
pub fn load(global: &Global) -> Result<Credentials, Error> {
    let mut credentials = Credentials::default();
    let certificate = &global.tls_client_certificate_file;
    match (certificate, &global.tls_client_key_file) {
        (Some(chain), Some(key)) => {
            let (path, key_path) = (chain, key);
            let (chain, key) = (read(CERTIFICATE, path)?, read(KEY, key_path)?);
            Credentials::check_client_certificate(&chain, &key).map_err(|error| match error {
                CredentialsError::NoKey | CredentialsError::Encrypted => {
                    refused(KEY, key_path, error)
                }
                _ => refused(CERTIFICATE, path, error),
            })?;
            credentials = credentials.with_client_certificate(chain, key);
        }
        (None, None) => {}
        (Some(_), None) => return Err(Error::Usage(format!("{CERTIFICATE} also needs {KEY}"))),
        (None, Some(_)) => return Err(Error::Usage(format!("{KEY} also needs {CERTIFICATE}"))),
    }
    if let Some(path) = &global.tls_ca_file {
        credentials = credentials
            .with_ca(read(CA, path)?)
            .map_err(|error| refused(CA, path, error))?;
    }
    if let Some(path) = &global.token_file {
        credentials = credentials
            .with_token(&read(TOKEN, path)?)
            .map_err(|error| refused(TOKEN, path, error))?;
    }
    Ok(credentials)
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| refused(flag, path, error))
}

fn refused(flag: &str, path: &Path, reason: impl ToString) -> Error {
    Error::input(format!("{flag} {}", path.display()), reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Arguments;
    use clap::Parser as _;

    fn refusal(flags: &[&str]) -> Error {
        let words = ["digits", "jobs"].iter().chain(flags);
        let arguments = Arguments::try_parse_from(words).expect("flags");
        load(&arguments.global).expect_err("refused")
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_by_its_flag() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("file");
        fs::write(&file, "nothing of use").expect("a file");
        let (file, none) = (file.display().to_string(), "/nonexistent/ca.pem");
        for (flags, code, part) in [
            ([CERTIFICATE, &file], 64, KEY),
            ([KEY, &file], 64, CERTIFICATE),
            ([CA, &file], 66, CA),
            ([CA, none], 66, CA),
            ([TOKEN, &file], 66, TOKEN),
        ] {
            let error = refusal(&flags);
            assert_eq!(error.exit_code(), code, "{error}");
            let text = error.to_string();
            assert!(text.contains(part) && !text.contains("of use"), "{text}");
        }
    }
}
