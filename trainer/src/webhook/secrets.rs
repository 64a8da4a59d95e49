//! Secrets that sign events, and the signature of Standard Webhooks: HMAC-SHA-256 over id, time and
//! body.

use crate::remote_write::read_file;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use std::path::PathBuf;

/// Bytes of a secret, as Standard Webhooks has them.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// The file with the secrets.
#[derive(Clone, Debug)]
pub(super) struct Secrets(pub(super) PathBuf);

impl Secrets {
    /// Reads the secrets.
    ///
    /// # Errors
    /// One line that names the flag, the file and the remedy.
    pub(super) fn read(&self) -> Result<Vec<hmac::Key>, String> {
        let refuse = |reason: &str| format!("--webhook-secret-file {}: {reason}", self.0.display());
        let bytes = read_file(&self.0).map_err(|error| refuse(&error))?;
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Option<Vec<hmac::Key>> = lines.map(key).collect();
        match keys {
            Some(keys) if !keys.is_empty() => Ok(keys),
            _ => Err(refuse(
                "must have a secret on each line, whsec_ and 24 to 64 bytes in base64: \
                 `echo whsec_$(openssl rand -base64 32)` makes one",
            )),
        }
    }
}

fn key(line: &str) -> Option<hmac::Key> {
    let secret = STANDARD.decode(line.strip_prefix("whsec_")?).ok()?;
    let long_enough = LENGTHS.contains(&secret.len());
    long_enough.then(|| hmac::Key::new(hmac::HMAC_SHA256, &secret))
}

/// The value of `webhook-signature`: a signature by each key.
pub(super) fn sign(keys: &[hmac::Key], id: &str, seconds: i64, body: &str) -> String {
    let content = format!("{id}.{seconds}.{body}");
    let signature = |key| {
        let tag = hmac::sign(key, content.as_bytes());
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    };
    keys.iter().map(signature).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Example of the Standard Webhooks specification's libraries.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
        let signature = sign(&[key], id, 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_are_refused_without_showing_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        let good = format!("whsec_{}", STANDARD.encode([7; 32]));
        for (text, keys) in [
            (format!("{good}\n"), Some(1)),
            (format!("{good}\n\n{good}\n"), Some(2)),
            (String::new(), None),
            ("topsecret".to_owned(), None),
            (format!("whsec_{}", STANDARD.encode([7; 8])), None),
            (format!("{good}\nwhsec_topsecret!"), None),
        ] {
            fs::write(&file, &text).expect("a file");
            match (Secrets(file.clone()).read(), keys) {
                (Ok(found), Some(count)) => assert_eq!(found.len(), count),
                (Err(error), None) => {
                    assert!(error.contains("--webhook-secret-file"), "{error}");
                    assert!(!error.contains("topsecret"), "{error}");
                }
                (found, _) => panic!("{text:?}: {found:?}"),
            }
        }
    }
}
