//! `digits token`: creates bearer tokens.

use crate::{args::CreateToken, context::Context};
use clap::ValueEnum as _;
use digits_checkpoint::sha256_hex;
use digits_cli::Error;
use serde_json::json;
use std::fmt::Write as _;

/// Size of a token, in bytes: 256 bits cannot be guessed, so a fast digest of them is enough.
const BYTES: usize = 32;

/// Runs `digits token create`.
pub fn create(args: &CreateToken, context: &Context) -> Result<(), Error> {
    let mut random = [0; BYTES];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut random)
        .map_err(|_| Error::Random)?;
    // The prefix lets scanners find tokens that were published by mistake.
    let token = random.iter().fold("digits_".to_owned(), |mut token, byte| {
        let _ = write!(token, "{byte:02x}");
        token
    });
    let names: Vec<String> = args
        .roles
        .iter()
        .filter_map(|role| role.to_possible_value())
        .map(|role| role.get_name().to_owned())
        .collect();
    let (name, roles) = (&args.name, names.join(","));
    let line = format!("{name} {roles} {}", sha256_hex(token.as_bytes()));
    context.show(
        || json!({ "name": name, "roles": names, "token": token, "line": line }),
        || {
            vec![
                format!("token of {name}, shown only this once:"),
                format!("  {token}"),
                "line for the --token-file of the services:".to_owned(),
                format!("  {line}"),
            ]
        },
    )
}
