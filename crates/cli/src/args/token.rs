//! Flags of `digits token`.

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Create a token and print it, with the line for the token file of the services.
    ///
    /// The services keep the digest of the token only. Give the token itself to the client, such as
    /// in the file of its --token-file; it cannot be shown again.
    Create(CreateToken),
}

#[derive(Debug, Args)]
pub struct CreateToken {
    /// Name of the client, for logs and serving records: 1 to 63 of A-Z, a-z, 0-9, `-`, `_`, `.`.
    #[arg(value_parser = name)]
    pub name: String,
    /// What the client may do; several roles with commas.
    #[arg(long, required = true, value_name = "ROLE", value_delimiter = ',')]
    pub roles: Vec<ClientRole>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClientRole {
    /// Classify images and report what was right.
    Predict,
    /// Read jobs, checkpoints and what serves.
    Watch,
    /// Submit and cancel jobs, import checkpoints; what serves does not change by it.
    Train,
    /// Change what serves.
    Promote,
    /// Everything.
    Admin,
}

fn name(text: &str) -> Result<String, &'static str> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=63).contains(&text.len()) && text.bytes().all(is_allowed) {
        return Ok(text.to_owned());
    }
    Err("must be 1 to 63 of A-Z, a-z, 0-9, `-`, `_`, `.`")
}
