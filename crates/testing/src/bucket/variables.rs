//! The environment variables of a bucket's client.

use super::wire::TOKEN;

type Variables = Vec<(&'static str, String)>;

pub(super) fn s3_variables(address: &str) -> Variables {
    vec![
        ("AWS_ENDPOINT", address.to_owned()),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", TOKEN.to_owned()),
    ]
}

pub(super) fn google_variables(address: &str) -> Variables {
    vec![
        ("GOOGLE_BASE_URL", address.to_owned()),
        ("GOOGLE_ALLOW_HTTP", "true".to_owned()),
        ("GOOGLE_BEARER_TOKEN", TOKEN.to_owned()),
    ]
}

pub(super) fn azure_variables(
    endpoint: &str,
    account: &str,
    credential: (&'static str, String),
) -> Variables {
    vec![
        ("AZURE_STORAGE_ENDPOINT", endpoint.to_owned()),
        ("AZURE_ALLOW_HTTP", "true".to_owned()),
        ("AZURE_STORAGE_ACCOUNT_NAME", account.to_owned()),
        credential,
    ]
}
