//! A store that fails, answers ambiguously or ends the process at chosen writes, and lets other
//! tasks run in between.

use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    path::Path,
};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
};

/// Outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It succeeds.
    None,
    /// It fails, and nothing was written.
    FailBefore,
    /// It was written, and the answer is lost.
    FailAfter,
    /// It was written, and the client's retry met it: "already exists".
    ExistsThoughOurs,
    /// Nothing was written, and the answer is "already exists".
    ExistsThoughAbsent,
    /// The process ends before it.
    AbortBefore,
    /// The process ends after it.
    AbortAfter,
}

#[derive(Default)]
struct Script {
    faults: VecDeque<Fault>,
    /// Number of yields of each operation, cyclically.
    yields: Vec<u8>,
    turn: usize,
    landed: Vec<Path>,
    deleted: Vec<Path>,
    /// Every put overwrites.
    overwriting: bool,
    /// A key that reads do not find, though listings show it.
    hidden: Option<Path>,
    /// The put of a key with this ending also creates that other key.
    follow_up: Option<(String, Path)>,
}

/// A store whose writes follow a script.
pub struct FaultStore {
    inner: Arc<dyn ObjectStore>,
    script: Arc<Mutex<Script>>,
}

impl FaultStore {
    pub fn new(inner: impl ObjectStore) -> Self {
        Self {
            inner: Arc::new(inner),
            script: Arc::default(),
        }
    }

    /// Sets the outcomes of the next writes; later ones succeed.
    pub fn set_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.script.lock().unwrap().faults = faults.into_iter().collect();
    }

    /// Sets the number of yields of each operation, cyclically.
    pub fn set_yields(&self, yields: Vec<u8>) {
        self.script.lock().unwrap().yields = yields;
    }

    /// The keys that were written, in order.
    pub fn landed(&self) -> Vec<Path> {
        self.script.lock().unwrap().landed.clone()
    }

    /// The keys that were deleted, in order.
    pub fn deleted(&self) -> Vec<Path> {
        self.script.lock().unwrap().deleted.clone()
    }

    /// Number of yields so far.
    pub fn operations(&self) -> usize {
        self.script.lock().unwrap().turn
    }

    /// Lets every put overwrite from now on.
    pub fn set_overwriting(&self) {
        self.script.lock().unwrap().overwriting = true;
    }

    /// Hides this key from reads, but not from listings.
    pub fn hide(&self, key: Option<Path>) {
        self.script.lock().unwrap().hidden = key;
    }

    /// Makes the put of a key that ends in `name` create `key` as well.
    pub fn on_put(&self, name: &str, key: &Path) {
        self.script.lock().unwrap().follow_up = Some((name.to_owned(), key.clone()));
    }

    async fn let_others_run(&self) {
        let times = {
            let mut script = self.script.lock().unwrap();
            script.turn += 1;
            let count = script.yields.len();
            if count == 0 {
                0
            } else {
                script.yields[script.turn % count]
            }
        };
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
    }

    async fn write(
        &self,
        at: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        let follow_up = {
            let mut script = self.script.lock().unwrap();
            if script.overwriting {
                options.mode = PutMode::Overwrite;
            }
            let hit = |(name, _): &mut (String, Path)| at.filename() == Some(name.as_str());
            script.follow_up.take_if(hit)
        };
        if let Some((_, key)) = follow_up {
            self.inner
                .put_opts(&key, "{}".into(), PutOptions::default())
                .await?;
        }
        let result = self.inner.put_opts(at, payload, options).await;
        if result.is_ok() {
            self.script.lock().unwrap().landed.push(at.clone());
        }
        result
    }
}

fn failed() -> Error {
    Error::Generic {
        store: "fault",
        source: "injected failure".into(),
    }
}

fn exists(at: &Path) -> Error {
    Error::AlreadyExists {
        path: at.to_string(),
        source: "injected answer".into(),
    }
}

impl fmt::Debug for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore({:?})", self.inner)
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore({})", self.inner)
    }
}

#[async_trait::async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.let_others_run().await;
        let fault = self.script.lock().unwrap().faults.pop_front();
        let result = match fault.unwrap_or(Fault::None) {
            Fault::None => self.write(location, payload, options).await,
            Fault::FailBefore => Err(failed()),
            Fault::FailAfter => self
                .write(location, payload, options)
                .await
                .and_then(|_| Err(failed())),
            Fault::ExistsThoughOurs => self
                .write(location, payload, options)
                .await
                .and_then(|_| Err(exists(location))),
            Fault::ExistsThoughAbsent => Err(exists(location)),
            Fault::AbortBefore => std::process::abort(),
            Fault::AbortAfter => {
                let _ = self.write(location, payload, options).await;
                std::process::abort()
            }
        };
        self.let_others_run().await;
        result
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.let_others_run().await;
        if self.script.lock().unwrap().hidden.as_ref() == Some(location) {
            return Err(Error::NotFound {
                path: location.to_string(),
                source: "hidden".into(),
            });
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let script = self.script.clone();
        let noted = locations.inspect_ok(move |path| {
            script.lock().unwrap().deleted.push(path.clone());
        });
        self.inner.delete_stream(noted.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
