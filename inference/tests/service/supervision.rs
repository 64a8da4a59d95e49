//! Panics in the loader, caused by a storage that panics.

use crate::support::{Net, Service, Store, admin, image, pixels, recorder, series};
use clap::Parser as _;
use digits_checkpoint::{Storage, record::Role};
use digits_inference::{app::App, config::CommandLine};
use digits_testing::{patience, until};
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, local::LocalFileSystem,
    path::Path,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio_util::sync::CancellationToken;

/// A folder some of whose next reads panic, a given number of times.
#[derive(Clone, Debug)]
struct Panicking {
    folder: Arc<LocalFileSystem>,
    /// Part of the paths whose reads panic. The storage turns these panics into errors.
    of: String,
    panics: Arc<AtomicU32>,
    /// Listings that panic before they begin, which ends their caller.
    listings: Arc<AtomicU32>,
}

/// Panics as often as the counter says.
fn panic_if_left(left: &AtomicU32) {
    let taken = left.try_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    assert!(taken.is_err(), "meant to");
}

impl Panicking {
    fn new(store: &Store, of: impl ToString) -> Self {
        Self {
            folder: Arc::new(LocalFileSystem::new_with_prefix(store.path()).unwrap()),
            of: of.to_string(),
            panics: Arc::default(),
            listings: Arc::default(),
        }
    }
}

impl fmt::Display for Panicking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("panicking")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Panicking {
    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        if at.as_ref().contains(&self.of) {
            panic_if_left(&self.panics);
        }
        self.folder.get_opts(at, options).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        panic_if_left(&self.listings);
        self.folder.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.folder.list_with_delimiter(prefix).await
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        unreachable!("the service only reads")
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        unreachable!("the service only reads")
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        unreachable!("the service only reads")
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        unreachable!("the service only reads")
    }
}

async fn start(storage: Panicking, model: &str) -> Service {
    let line = format!(
        "x --storage memory --models {model} --poll-interval 10ms --shutdown-delay 0 \
         --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0"
    );
    let config = CommandLine::try_parse_from(line.split_whitespace());
    let storage = Storage::from_store(Arc::new(storage), Path::default());
    let bound = App::bind_to(storage, config.unwrap().config, recorder()).await;
    let app = bound.unwrap();
    let addresses = app.addresses();
    let stop = CancellationToken::new();
    let running = app.run(stop.clone());
    Service {
        addresses,
        stop,
        task: tokio::spawn(async move {
            running.await.unwrap();
        }),
    }
}

async fn deaths(service: &Service) -> Option<f64> {
    let (_, text) = admin(service, "/metrics").await;
    series(
        &text,
        r#"digits_inference_task_deaths_total{task="loader"}"#,
    )
}

async fn is_ok(service: &Service, path: &str) -> bool {
    admin(service, path).await.0.contains("200")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loader_that_panics_is_restarted_and_the_snapshot_stays() {
    let store = Store::new();
    store.serve("panics", 1, &Net::favouring(1, 1)).await;
    let storage = Panicking::new(&store, "");
    let panics = Arc::clone(&storage.listings);
    let service = start(storage, "panics").await;
    service.serves("panics", 1).await;
    service.becomes_serving().await;
    assert_eq!(deaths(&service).await, Some(0.0));

    panics.store(2, Ordering::SeqCst);
    until("the second panic", async || {
        assert!(is_ok(&service, "/readyz").await, "no longer ready");
        Ok((panics.load(Ordering::SeqCst) == 0).then_some(()))
    })
    .await
    .unwrap();
    store.serve("panics", 2, &Net::favouring(2, 2)).await;
    service.serves("panics", 2).await;
    assert_eq!(deaths(&service).await, Some(2.0));
    assert!(is_ok(&service, "/livez").await);

    panics.store(u32::MAX, Ordering::SeqCst);
    until("five deaths in a row", async || {
        Ok((deaths(&service).await >= Some(7.0)).then_some(()))
    })
    .await
    .unwrap();
    // Five deaths within seconds may be a fault that passes: liveness fails only after minutes.
    assert!(is_ok(&service, "/livez").await);
    assert!(is_ok(&service, "/readyz").await);
    let mut client = service.client().await;
    let answer = client.predict(pixels("panics", image(1))).await.unwrap();
    assert_eq!(answer.into_inner().predictions[0].label_index, Some(2));
    // In the middle of a pause.
    tokio::time::timeout(patience(), service.end())
        .await
        .unwrap();
}

/// The loads of a model that failed and are tried again.
async fn failed_loads(service: &Service, model: &str) -> f64 {
    let (_, text) = admin(service, "/metrics").await;
    let name = format!(r#"digits_inference_reloads_total{{model="{model}",result="failed"}}"#);
    series(&text, &name).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_a_checkpoint_is_read_fails_only_that_load() {
    let store = Store::new();
    store.serve("spoilt", 1, &Net::favouring(1, 1)).await;
    let id = store.publish(Net::favouring(2, 2).draft("spoilt")).await;
    let storage = Panicking::new(&store, id);
    storage.panics.store(u32::MAX, Ordering::SeqCst);
    let old = start(storage.clone(), "spoilt").await;
    old.serves("spoilt", 1).await;
    store.record("spoilt", 2, &[(id, Role::Primary, 1.0)]);
    until("a second try", async || {
        Ok((failed_loads(&old, "spoilt").await >= 2.0).then_some(()))
    })
    .await
    .unwrap();
    old.serves("spoilt", 1).await;
    assert!(is_ok(&old, "/readyz").await);

    // With nothing to serve a replica takes the record before.
    let fresh = start(storage.clone(), "spoilt").await;
    fresh.serves("spoilt", 1).await;
    fresh.becomes_serving().await;
    assert!(is_ok(&fresh, "/livez").await);

    // The record was not refused: it serves once its checkpoint can be read.
    storage.panics.store(0, Ordering::SeqCst);
    for service in [old, fresh] {
        let model = service.serves("spoilt", 2).await;
        assert!(model.last_refusal.is_none(), "{model:?}");
        service.end().await;
    }
}
