//! Buckets: of S3 and what speaks its protocol, of Google Cloud Storage, and of Azure Blob Storage.

mod azure;
mod client;
mod credentials;
mod google;
mod s3;
mod settings;
mod variables;

pub(super) use azure::open as open_azure;
pub(super) use google::open as open_google;
pub(super) use s3::open as open_s3;

#[cfg(test)]
mod tests;
