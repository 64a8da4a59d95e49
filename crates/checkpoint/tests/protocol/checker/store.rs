//! Implements the object store on a [`Sim`].

use super::{
    sim::Sim,
    types::{Answer, JournalFolder, Key, Op, START},
};
use futures::{StreamExt as _, future::BoxFuture, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result, path::Path,
};
use std::{fmt, time::Duration};

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sim")
    }
}

impl fmt::Display for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sim")
    }
}

fn meta(location: Path, hours: u8, size: u64) -> ObjectMeta {
    let mut meta = ObjectMeta {
        location,
        last_modified: Default::default(),
        size,
        e_tag: None,
        version: None,
    };
    meta.last_modified += START + Duration::from_secs(3600) * u32::from(hours);
    meta
}

#[async_trait::async_trait]
impl ObjectStore for Sim {
    async fn put_opts(
        &self,
        at: &Path,
        body: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        assert_eq!(options.mode, PutMode::Create, "every put creates if absent");
        let key = Key::parse(at);
        let value = self.value(key, &body.into());
        match self.ask(Op::Put(key, value)).await {
            Answer::Created => Ok(PutResult {
                e_tag: None,
                version: None,
                extensions: Default::default(),
            }),
            _ => Err(Error::AlreadyExists {
                path: at.to_string(),
                source: "answered so by the model".into(),
            }),
        }
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let key = Key::parse(at);
        let op = if options.head {
            Op::Head(key)
        } else {
            Op::Get(key)
        };
        let Answer::Found(Some(value)) = self.ask(op).await else {
            return Err(Error::NotFound {
                path: at.to_string(),
                source: "answered so by the model".into(),
            });
        };
        let bytes = self.bytes(value);
        let size = bytes.len() as u64;
        Ok(GetResult {
            payload: GetResultPayload::Stream(futures::stream::iter([Ok(bytes)]).boxed()),
            meta: meta(at.clone(), 0, size),
            range: 0..size,
            attributes: Default::default(),
            extensions: Default::default(),
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let sim = self.clone();
        locations
            .then(move |at| {
                let sim = sim.clone();
                async move {
                    let at = at?;
                    sim.ask(Op::Delete(Key::parse(&at))).await;
                    Ok(at)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if prefix.map(Path::as_ref) == Some("jobs") {
            // Marks are no part of the model.
            return futures::stream::empty().boxed();
        }
        self.listed(match prefix.map(Path::as_ref) {
            Some("checkpoints") => Op::ListCheckpoints,
            Some("serving" | "serving/digits") => Op::ListLog(0),
            Some("trainer/t/epochs") => Op::ListJournal(JournalFolder::Epochs),
            Some("trainer/t/journal") => Op::ListJournal(JournalFolder::Entries),
            Some("trainer/t/snapshots") => Op::ListJournal(JournalFolder::Snapshots),
            other => panic!("a list of {other:?}"),
        })
    }

    fn list_with_offset(
        &self,
        _prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        match Key::parse(offset) {
            Key::Record(after) => self.listed(Op::ListLog(after)),
            Key::File(..) | Key::Run(_) | Key::Journal(_) => panic!("a list from {offset}"),
        }
    }

    async fn list_with_delimiter(&self, _prefix: Option<&Path>) -> Result<ListResult> {
        panic!("not part of the protocol")
    }

    async fn put_multipart_opts(
        &self,
        _at: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        panic!("not part of the protocol")
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        panic!("not part of the protocol")
    }
}

impl Sim {
    fn listed(&self, op: Op) -> BoxStream<'static, Result<ObjectMeta>> {
        let sim = self.clone();
        let answer: BoxFuture<'static, _> = Box::pin(async move { sim.ask(op).await });
        futures::stream::once(answer)
            .flat_map(|answer| {
                let Answer::Keys(keys) = answer else {
                    panic!("{answer:?} to a list")
                };
                let metas = keys
                    .into_iter()
                    .map(|(key, hours)| Ok(meta(key.path(), hours, 1)));
                futures::stream::iter(metas.collect::<Vec<_>>())
            })
            .boxed()
    }
}
