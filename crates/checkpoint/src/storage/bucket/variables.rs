//! The `AWS_*` variables: which of them the client of a bucket takes, and what is wrong with their
//! values.

use crate::storage::StorageError;
use object_store::{
    ClientConfigKey,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
};
use std::{env, ffi::OsString, fs};
use url::Url;

/// Variables of a proxy for every HTTP client, by precedence. A wrong one would be passed over in
/// silence.
const PROXIES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// The variables that are set, trimmed. One without a value counts as unset.
pub(super) struct Variables(Vec<(String, String)>);

impl Variables {
    pub(super) fn from_environment() -> Result<Self, StorageError> {
        Self::new(env::vars_os())
    }

    pub(super) fn new(
        all: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, StorageError> {
        let mut variables = Vec::new();
        for (name, value) in all {
            let Some(name) = name.to_str() else { continue };
            if !name.starts_with("AWS_") && !PROXIES.contains(&name) {
                continue;
            }
            let value = value
                .to_str()
                .ok_or_else(|| refused(name, "is no UTF-8 text"))?
                .trim();
            if !value.is_empty() {
                variables.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(Self(variables))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn settings(&self) -> impl Iterator<Item = (&str, AmazonS3ConfigKey, &str)> {
        self.0.iter().filter_map(|(name, value)| {
            let key = name.to_ascii_lowercase().parse().ok()?;
            name.starts_with("AWS_")
                .then_some((name.as_str(), key, value.as_str()))
        })
    }

    /// A builder with all settings.
    pub(super) fn builder(&self) -> AmazonS3Builder {
        let settings = self.settings();
        settings.fold(AmazonS3Builder::new(), |builder, (_, key, value)| {
            builder.with_config(key, value)
        })
    }

    /// Checks each value, and that what belongs together is there.
    pub(super) fn check(&self) -> Result<(), StorageError> {
        for (name, key, value) in self.settings() {
            check_value(name, key, value)?;
        }
        for name in PROXIES {
            if self.get(name).is_some_and(|value| !is_proxy(value)) {
                return Err(refused(name, "takes a URL such as http://proxy:3128"));
            }
        }
        self.check_endpoints()?;
        self.check_credentials()
    }

    fn check_endpoints(&self) -> Result<(), StorageError> {
        let plain_text = self
            .get("AWS_ALLOW_HTTP")
            .is_some_and(|it| boolean(it) == Some(true));
        for name in ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
            let Some(value) = self.get(name) else {
                continue;
            };
            let url = Url::parse(value).ok().filter(Url::has_host);
            match url.as_ref().map(Url::scheme) {
                Some("https") => {}
                Some("http") if plain_text => {}
                Some("http") => {
                    let reason = format!(
                        "{value} is not encrypted: write https://, or accept plain text with AWS_ALLOW_HTTP=true"
                    );
                    return Err(refused(name, reason));
                }
                _ => {
                    return Err(refused(
                        name,
                        format!("takes a URL such as https://s3.example.com, not {value:?}"),
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_credentials(&self) -> Result<(), StorageError> {
        const PAIRS: [(&str, &str); 4] = [
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"),
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            ),
        ];
        for (given, missing) in PAIRS {
            if self.get(given).is_some() && self.get(missing).is_none() {
                return Err(refused(given, format!("needs {missing} as well")));
            }
        }
        for name in TOKEN_FILES {
            if let Some(reason) = self.get(name).and_then(untidy_token) {
                return Err(refused(name, reason));
            }
        }
        match self.get("AWS_PROFILE") {
            Some(profile) if !self.has_credentials() => Err(refused(
                "AWS_PROFILE",
                format!(
                    "profiles are not read: unset it, and set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, such as with `eval \"$(aws configure export-credentials --profile {profile} --format env)\"`"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Whether the variables name credentials. Without them they come from the machine's metadata
    /// service.
    pub(super) fn has_credentials(&self) -> bool {
        let any = [
            "AWS_ACCESS_KEY_ID",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ];
        let unsigned = self.get("AWS_SKIP_SIGNATURE").and_then(boolean);
        unsigned == Some(true) || any.iter().any(|name| self.get(name).is_some())
    }

    /// The error of a client that cannot be built: names the variable that is refused by itself.
    pub(super) fn culprit(&self, bucket: &str, error: &object_store::Error) -> StorageError {
        let alone = |key, value| {
            let builder = AmazonS3Builder::new()
                .with_bucket_name(bucket)
                .with_access_key_id("key")
                .with_secret_access_key("secret");
            builder.with_config(key, value).build()
        };
        for (name, key, value) in self.settings() {
            if let Err(error) = alone(key, value) {
                return refused(
                    name,
                    takes(key).map_or_else(|| error.to_string(), str::to_owned),
                );
            }
        }
        refused("AWS_*", error.to_string())
    }
}

/// Variables that name a file with a token.
pub(super) const TOKEN_FILES: [&str; 2] = [
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// What is wrong with a token file, if it can be read: the client sends it as it is.
pub(super) fn untidy_token(path: &str) -> Option<String> {
    let token = fs::read_to_string(path).ok()?;
    let untidy = |it: char| it.is_whitespace() || it.is_control() || it == '\u{feff}';
    token.contains(untidy).then(|| {
        format!(
            "{path} holds white space, such as a line break at its end, or a byte order mark; write the token alone, such as with `printf %s`"
        )
    })
}

pub(super) fn refused(name: &str, reason: impl Into<String>) -> StorageError {
    StorageError::Variable {
        name: name.to_owned(),
        reason: reason.into(),
    }
}

fn check_value(name: &str, key: AmazonS3ConfigKey, value: &str) -> Result<(), StorageError> {
    use AmazonS3ConfigKey as Key;
    match key {
        // Several lines, or words.
        Key::Client(
            ClientConfigKey::ProxyCaCertificate
            | ClientConfigKey::ProxyExcludes
            | ClientConfigKey::UserAgent,
        ) => return Ok(()),
        // A path, or a secret of any characters, which stays in this process.
        Key::ContainerAuthorizationTokenFile | Key::WebIdentityTokenFile | Key::SecretAccessKey => {
            return match value.contains(char::is_control) {
                true => Err(refused(name, "has a control character in its value")),
                false => Ok(()),
            };
        }
        Key::Client(ClientConfigKey::ProxyUrl) if !is_proxy(value) => {
            return Err(refused(name, "takes a URL such as http://proxy:3128"));
        }
        key if is_boolean(key) && boolean(value).is_none() => {
            return Err(refused(name, format!("takes true or false, not {value:?}")));
        }
        _ => {}
    }
    // Most end up in a header or a URL. The value may be a secret.
    match value.chars().all(|it| it.is_ascii_graphic()) || takes(key).is_some() {
        true => Ok(()),
        false => Err(refused(
            name,
            "has white space or another character in its value that is not allowed there",
        )),
    }
}

fn is_boolean(key: AmazonS3ConfigKey) -> bool {
    use AmazonS3ConfigKey as Key;
    use ClientConfigKey as Client;
    matches!(
        key,
        Key::ImdsV1Fallback
            | Key::VirtualHostedStyleRequest
            | Key::UnsignedPayload
            | Key::SkipSignature
            | Key::DisableTagging
            | Key::DisableBulkDelete
            | Key::S3Express
            | Key::Client(
                Client::AllowHttp
                    | Client::AllowInvalidCertificates
                    | Client::NoSystemCertificates
                    | Client::Http1Only
                    | Client::Http2Only
                    | Client::Http2KeepAliveWhileIdle
                    | Client::RandomizeAddresses
            )
    ) || key.as_ref() == "aws_sse_bucket_key_enabled"
}

/// What a variable takes, for values that the client parses.
fn takes(key: AmazonS3ConfigKey) -> Option<&'static str> {
    use AmazonS3ConfigKey as Key;
    use ClientConfigKey as Client;
    Some(match key {
        Key::Checksum => "takes sha256 or crc64nvme",
        Key::RequestPayer => "takes requester, true or false",
        Key::Client(
            Client::Timeout
            | Client::ConnectTimeout
            | Client::ReadTimeout
            | Client::PoolIdleTimeout
            | Client::Http2KeepAliveInterval
            | Client::Http2KeepAliveTimeout,
        ) => "takes a duration such as 30s",
        Key::Client(Client::PoolMaxIdlePerHost | Client::Http2MaxFrameSize) => {
            "takes a whole number"
        }
        Key::Client(Client::ProxyCaCertificate) => "takes a certificate as PEM",
        _ => return None,
    })
}

/// As the client reads it.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "on" | "yes" | "y" => Some(true),
        "0" | "false" | "off" | "no" | "n" => Some(false),
        _ => None,
    }
}

/// An address with or without a scheme.
fn is_proxy(text: &str) -> bool {
    let parsed = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("http://{text}")),
    };
    parsed.is_ok_and(|url| url.has_host() && !text.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests;
