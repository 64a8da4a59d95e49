//! Finds in an error of a bucket's client what the response was: listings have no error kinds of
//! their own, and a missing bucket has that of a missing key.

use object_store::Error;

/// Error codes of S3 and Google, and of Azure.
const MISSING: [&str; 2] = [
    "<Code>NoSuchBucket</Code>",
    "<Code>ContainerNotFound</Code>",
];
const DENIED: [&str; 2] = ["status code: 401 ", "status code: 403 "];

/// Whether an operation failed because the bucket does not exist. The code is in the response's
/// body, which those to HEAD requests lack.
pub(super) fn lacks_bucket(error: &Error) -> bool {
    has_one_of(error, &MISSING)
}

/// Whether an operation failed because the credentials do not allow it.
pub(super) fn is_denied(error: &Error) -> bool {
    let is_kind = matches!(
        error,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. }
    );
    is_kind || has_one_of(error, &DENIED)
}

fn has_one_of(error: &Error, parts: &[&str]) -> bool {
    let text = error.to_string();
    parts.iter().any(|part| text.contains(part))
}
