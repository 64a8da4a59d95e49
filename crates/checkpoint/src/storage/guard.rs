//! Asks for permission before each write to a storage.

use super::error::StorageError;
use std::fmt;

/// Allows writes, or does not any more.
#[async_trait::async_trait]
pub trait WriteGuard: fmt::Debug + Send + Sync {
    /// Whether `key` may be written or deleted now.
    ///
    /// # Errors
    /// When it may not, or nobody knows.
    async fn check(&self, key: &str) -> Result<(), StorageError>;
}
