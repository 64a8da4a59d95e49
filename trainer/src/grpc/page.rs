//! Page sizes and page tokens. A token names the last item of its page, so it stays valid while
//! items come and go.

use super::errors::invalid_field;
use tonic::Status;

const DEFAULT: u32 = 50;
const MAX: u32 = 1_000;

/// Items on a page, from the request's `page_size`.
pub(super) fn size(requested: u32) -> Result<u32, Status> {
    match requested {
        0 => Ok(DEFAULT),
        1..=MAX => Ok(requested),
        _ => Err(invalid_field(
            "page_size",
            format!("must be at most {MAX}, not {requested}"),
        )),
    }
}

/// Token of the page after the item `key` of the list `kind`.
pub(super) fn token(kind: &str, key: &str) -> String {
    format!("{kind}.{key}")
}

/// The key of a token of the list `kind`; `None` for the first page.
pub(super) fn key<T: std::str::FromStr>(kind: &str, token: &str) -> Result<Option<T>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    token
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|key| key.parse().ok())
        .map(Some)
        .ok_or_else(|| {
            invalid_field(
                "page_token",
                "is not a token of this list: pass next_page_token of the previous page, or leave it empty",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        assert_eq!(key::<i64>("jobs", "").expect("first"), None);
        assert_eq!(
            key::<i64>("jobs", &token("jobs", "7")).expect("good"),
            Some(7)
        );
        for bad in ["7", "jobs.", "jobs.x", "serving.7"] {
            let status = key::<i64>("jobs", bad).expect_err(bad);
            assert!(status.message().starts_with("page_token"), "{status}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size(0).expect("default"), DEFAULT);
        assert_eq!(size(1_000).expect("largest"), 1_000);
        assert!(size(1_001).is_err());
    }
}
