use super::*;

fn variables(all: &[(&str, &str)]) -> Variables {
    let all = all
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Variables::new(all).expect("text")
}

/// The refusal of a variable beside good credentials.
fn refusal(name: &str, value: &str) -> String {
    let mut all = vec![("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "s")];
    all.retain(|(known, _)| *known != name);
    all.push((name, value));
    let error = variables(&all).check().expect_err(name);
    error.to_string()
}

#[test]
fn white_space_around_a_value_is_ignored_and_no_value_is_unset() {
    let variables = variables(&[
        ("AWS_ACCESS_KEY_ID", "key\n"),
        ("AWS_SECRET_ACCESS_KEY", " secret\r\n"),
        ("AWS_REGION", "eu-west-1\n"),
        ("AWS_ENDPOINT", "\thttps://s3.example.com\n"),
        ("AWS_SESSION_TOKEN", "\n"),
        ("AWS_PROFILE", ""),
        ("AWS_ALLOW_HTTP", " "),
    ]);
    variables.check().expect("good values");
    let builder = variables.builder();
    for (key, expected) in [
        (AmazonS3ConfigKey::AccessKeyId, Some("key")),
        (AmazonS3ConfigKey::SecretAccessKey, Some("secret")),
        (AmazonS3ConfigKey::Region, Some("eu-west-1")),
        (AmazonS3ConfigKey::Endpoint, Some("https://s3.example.com")),
        (AmazonS3ConfigKey::Token, None),
    ] {
        assert_eq!(builder.get_config_value(&key).as_deref(), expected);
    }
}

#[test]
fn a_wrong_value_is_refused_by_the_name_of_its_variable() {
    for (name, value, part) in [
        ("AWS_ACCESS_KEY_ID", "a\nb", "white space"),
        ("AWS_SESSION_TOKEN", "a b", "white space"),
        ("AWS_SECRET_ACCESS_KEY", "a\nb", "control character"),
        ("AWS_REGION", "eu west", "white space"),
        (
            "AWS_ALLOW_HTTP",
            "maybe",
            "takes true or false, not \"maybe\"",
        ),
        ("AWS_SKIP_SIGNATURE", "2", "takes true or false"),
        (
            "AWS_ALLOW_INVALID_CERTIFICATES",
            "never",
            "takes true or false",
        ),
        ("AWS_PROXY_URL", "::", "http://proxy:3128"),
        ("HTTPS_PROXY", "http://", "http://proxy:3128"),
        ("AWS_ENDPOINT", "127.0.0.1:9000", "takes a URL"),
        ("AWS_ENDPOINT_URL", "s3.example.com", "takes a URL"),
        ("AWS_ENDPOINT_URL_S3", "http://a:1", "AWS_ALLOW_HTTP=true"),
    ] {
        let text = refusal(name, value);
        assert!(text.starts_with(&format!("{name}: ")), "{text}");
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_value_that_the_client_cannot_parse_is_refused_by_name() {
    for (name, value, part) in [
        ("AWS_CHECKSUM_ALGORITHM", "md5", "sha256 or crc64nvme"),
        ("AWS_TIMEOUT", "soon", "duration such as 30s"),
        ("AWS_POOL_MAX_IDLE_PER_HOST", "few", "whole number"),
        ("AWS_S3_EXPRESS", "true", "bucket"),
    ] {
        let variables = variables(&[
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            (name, value),
        ]);
        variables.check().expect("parsed by the client");
        crate::storage::bucket::client::install_crypto_provider();
        let built = variables.builder().with_bucket_name("bucket").build();
        let error = variables.culprit("bucket", &built.expect_err(name));
        let text = error.to_string();
        assert!(text.starts_with(&format!("{name}: ")), "{text}");
        assert!(text.contains(part), "{text}");
        assert!(error.is_final());
    }
}

#[test]
fn plain_text_is_accepted_only_where_it_is_asked_for() {
    for allow in ["true", "1", "yes\n"] {
        let endpoint = ("AWS_ENDPOINT", "http://127.0.0.1:9000");
        let credentials = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        let all = [
            endpoint,
            ("AWS_ALLOW_HTTP", allow),
            credentials[0],
            credentials[1],
        ];
        variables(&all).check().expect(allow);
    }
}

#[test]
fn half_of_the_credentials_names_the_other_half() {
    for (name, missing) in [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"),
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        ),
    ] {
        let error = variables(&[(name, "x")]).check().expect_err(name);
        assert_eq!(
            error.to_string(),
            format!("{name}: needs {missing} as well")
        );
    }
}

#[test]
fn a_profile_is_refused_with_a_way_to_export_its_keys() {
    let error = variables(&[("AWS_PROFILE", "work")]).check();
    let text = error.expect_err("not read").to_string();
    assert!(
        text.starts_with("AWS_PROFILE: profiles are not read"),
        "{text}"
    );
    assert!(text.contains("--profile work"), "{text}");
    let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let all = [("AWS_PROFILE", "work"), keys[0], keys[1]];
    variables(&all).check().expect("the keys are used");
}

#[test]
fn a_token_file_with_a_line_break_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("token");
    let check = || {
        variables(&[
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "http://169.254.170.23/v1/credentials",
            ),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                path.to_str().expect("text"),
            ),
        ])
        .check()
    };
    for content in ["token\n", "to ken", "\u{feff}token"] {
        fs::write(&path, content).expect("written");
        let text = check().expect_err(content).to_string();
        assert!(
            text.starts_with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: "),
            "{text}"
        );
        assert!(
            !text.contains("token\n") && text.contains("line break"),
            "{text}"
        );
    }
    fs::write(&path, "token").expect("written");
    check().expect("the token alone");
}
