//! A loader that panics, by a storage that does.

use crate::support::{Net, Service, Store, admin, image, pixels, recorder, series};
use clap::Parser as _;
use digits_checkpoint::Storage;
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

/// A folder whose next reads panic, so many times.
#[derive(Clone, Debug)]
struct Panicking {
    folder: Arc<LocalFileSystem>,
    panics: Arc<AtomicU32>,
}

impl fmt::Display for Panicking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("panicking")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Panicking {
    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let left = self
            .panics
            .try_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        assert!(left.is_err(), "meant to");
        self.folder.get_opts(at, options).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
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

async fn start(storage: Panicking) -> Service {
    let line = "x --storage memory --models panics --poll-interval 10ms --shutdown-delay 0 \
                --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0";
    let config = CommandLine::try_parse_from(line.split_whitespace());
    let storage = Storage::from_store(Arc::new(storage), Path::default());
    let bound = App::bind_to(storage, config.unwrap().config, recorder()).await;
    let (app, addresses) = bound.unwrap();
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
        r#"digits_inference_task_restarts_total{task="loader"}"#,
    )
}

async fn is_ok(service: &Service, path: &str) -> bool {
    admin(service, path).await.0.contains("200")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loader_that_panics_is_restarted_and_one_that_keeps_panicking_fails_liveness() {
    let store = Store::new();
    store.serve("panics", 1, &Net::favouring(1, 1)).await;
    let storage = Panicking {
        folder: Arc::new(LocalFileSystem::new_with_prefix(store.path()).unwrap()),
        panics: Arc::default(),
    };
    let panics = Arc::clone(&storage.panics);
    let service = start(storage).await;
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
    until("a failed liveness", async || {
        Ok((!is_ok(&service, "/livez").await).then_some(()))
    })
    .await
    .unwrap();
    let (_, reason) = admin(&service, "/livez").await;
    assert!(reason.contains("loader died 5 times"), "{reason}");
    assert!(deaths(&service).await >= Some(5.0));
    // What serves stays until the process is restarted.
    assert!(is_ok(&service, "/readyz").await);
    let mut client = service.client().await;
    let answer = client.predict(pixels("panics", image(1))).await.unwrap();
    assert_eq!(answer.into_inner().predictions[0].label_index, Some(2));
    // In the middle of a pause.
    tokio::time::timeout(patience(), service.end())
        .await
        .unwrap();
}
