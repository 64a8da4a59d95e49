//! Opens the storage at an address: a folder or a bucket.

use super::{Storage, StorageError, bucket};
use object_store::{ObjectStore, local::LocalFileSystem, path::Path};
use std::{path, sync::Arc};
use url::Url;

/// Handling of a folder that does not exist.
#[derive(Clone, Copy)]
enum MissingFolder {
    Create,
    Reject,
}

impl Storage {
    /// Opens the storage at `url`: `file:///folder`, `s3://bucket/prefix`, `gs://bucket/prefix`,
    /// `az://container/prefix`, or a folder's path.
    ///
    /// A folder is created where it is missing (this blocks for a moment), and every write to it is
    /// followed by fsync. For a bucket the credentials and the endpoint come from the variables
    /// `AWS_*`, `GOOGLE_*` or `AZURE_*`. On S3 the role needs `s3:ListBucket` as well, because
    /// without it a missing key reads as "denied".
    ///
    /// # Errors
    /// When the address has none of these forms, or the folder cannot be created.
    pub fn open(url: &str) -> Result<Self, StorageError> {
        open(url, MissingFolder::Create)
    }

    /// As [`open`](Self::open), but a folder must exist, so that a mistake in its name is noticed.
    ///
    /// # Errors
    /// When the address has none of these forms, or the folder does not exist.
    pub fn open_existing(url: &str) -> Result<Self, StorageError> {
        open(url, MissingFolder::Reject)
    }
}

fn open(address: &str, missing: MissingFolder) -> Result<Storage, StorageError> {
    if !address.contains("://") {
        if address.is_empty() {
            return Err(refused(
                address,
                "give a folder or the address of a bucket, such as s3://bucket/prefix",
            ));
        }
        return folder(path::Path::new(address), missing);
    }
    let url = Url::parse(address).map_err(|error| refused("…", error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        // Not echoed: it may hold a secret.
        let reason = "takes no user, password or query; give credentials in AWS_*, GOOGLE_* or AZURE_* variables";
        return Err(refused(&format!("{}://…", url.scheme()), reason));
    }
    match url.scheme() {
        "file" => match url.to_file_path() {
            Ok(path) => folder(&path, missing),
            Err(()) => Err(refused(address, "write file:///absolute/path")),
        },
        "s3" => bucket::open_s3(&url),
        "gs" => bucket::open_google(&url),
        "az" => bucket::open_azure(&url),
        _ => Err(refused(
            address,
            "use file:///folder, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or a folder's path",
        )),
    }
}

fn refused(url: &str, reason: impl Into<String>) -> StorageError {
    StorageError::Url {
        url: url.to_owned(),
        reason: reason.into(),
    }
}

fn folder(path: &path::Path, missing: MissingFolder) -> Result<Storage, StorageError> {
    let failed = |source| StorageError::Folder {
        path: path.to_owned(),
        source,
    };
    if let MissingFolder::Create = missing {
        std::fs::create_dir_all(path).map_err(failed)?;
    }
    let path = path.canonicalize().map_err(failed)?;
    let store = LocalFileSystem::new_with_prefix(&path)
        .map_err(|error| failed(error.into()))?
        .with_fsync(true);
    let url = Url::from_directory_path(&path)
        .map_err(|()| refused(&path.display().to_string(), "not an absolute path"))?;
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    Ok(Storage {
        bulk: Arc::clone(&store),
        store,
        prefix: Path::default(),
        url: url.as_str().trim_end_matches('/').into(),
        folder: Some(Arc::new(path)),
        keys: None,
        guard: None,
    })
}
