//! Lists of what is many and large: every page fits into a client's default limit of 4 MiB, and
//! together the pages have each item once.

use crate::{
    child::wait_for_starts,
    datasets::push,
    store_support::{new_job_of, spec, supervisor},
    support::Server,
};
use digits_checkpoint::{
    Draft, Exam, Layer, Storage, encode_exam, encode_model,
    id::CheckpointId,
    manifest::Manifest,
    publish,
    serving::{Decision, Policy, Scope},
};
use digits_dataset::{Dataset, Images, LabelledImages};
use digits_proto::v1::{
    GetJobRequest, JobState, ListCheckpointsRequest, ListDatasetsRequest, ListJobsRequest,
};
use digits_trainer::{
    job::JobId,
    store::{CheckpointIntent, IntentState, Store, Submitted},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::Message;
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, path::Path};

/// What gRPC clients accept by default.
const CLIENT_LIMIT: usize = 4 << 20;
/// Names of 1,000 classes of 256 bytes each: the most that a network may have.
const CLASSES: usize = 1_000;

fn label_names() -> Vec<String> {
    (0..CLASSES).map(|index| format!("{index:0>256}")).collect()
}

/// Follows the tokens of a list from its first page on; the ids of all items. `fetch` returns the
/// page's message with the ids in it and the next token.
async fn all_ids<M: Message>(
    fetch: impl AsyncFn(String) -> (M, Vec<String>, String),
) -> Vec<String> {
    let (mut ids, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let (page, more, next) = fetch(token).await;
        let bytes = page.encoded_len();
        assert!(bytes < CLIENT_LIMIT, "a page of {bytes} bytes");
        assert!(!more.is_empty(), "an empty page");
        ids.extend(more);
        pages += 1;
        if next.is_empty() {
            break;
        }
        token = next;
    }
    assert!(pages > 1, "several pages");
    let unique: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "every item once");
    ids
}

/// Jobs with the largest labels that are accepted, over; the first has published checkpoints.
async fn large_jobs(folder: &Path, count: usize, checkpoints: u32) -> BTreeSet<String> {
    let labels: Map<String, Value> = (0..32)
        .map(|index| (format!("{index:0>63}"), "é".repeat(100).into()))
        .collect();
    let document = json!({ "labels": labels, "data": { "dataset": "synthetic" }, "device": "cpu" });
    let template = new_job_of("", spec(&document.to_string()));
    wait_for_starts();
    let store = Store::open(&folder.join("state"), &supervisor()).expect("the database");
    let ids: Vec<JobId> = stream::iter(0..count)
        .map(|index| {
            let mut new = template.clone();
            new.request_id = index.to_string();
            let store = &store;
            async move {
                let Submitted::New(job) = store.submit(new, u64::MAX).await? else {
                    panic!("submitted twice");
                };
                store.cancel(job.id).await.map(|job| job.id)
            }
        })
        .buffer_unordered(64)
        .try_collect()
        .await
        .expect("stored");
    stream::iter(0..checkpoints)
        .map(|epoch| {
            let intent = CheckpointIntent {
                id: CheckpointId::generate(),
                job: ids[0],
                epoch,
                step: 1,
                promotion: Policy::Latest,
                scope: Scope::Any,
                weights_sha256: String::new(),
                state: IntentState::Planned,
                serving_sequence: 0,
            };
            let (id, store) = (intent.id, &store);
            async move {
                store.plan_checkpoint(intent).await?;
                store.checkpoint_done(id, Decision::default()).await
            }
        })
        .buffered(64)
        .try_collect::<()>()
        .await
        .expect("published");
    store.close().await;
    ids.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_jobs_end_by_their_bytes() {
    const CHECKPOINTS: u32 = 300;
    let folder = tempfile::tempdir().expect("a folder");
    let expected = large_jobs(folder.path(), 2_000, CHECKPOINTS).await;
    let server = Server::start(folder.path(), &[]).await;
    let client = server.training().await;
    for page_size in [0, 1_000] {
        let ids = all_ids(async |page_token| {
            let request = ListJobsRequest {
                page_size,
                page_token,
                ..ListJobsRequest::default()
            };
            let page = client.clone().list_jobs(request).await.expect("a page");
            let page = page.into_inner();
            let ids = page.jobs.iter().map(|job| {
                assert_eq!(job.state(), JobState::Cancelled);
                let (shown, count) = (job.checkpoint_ids.len(), job.checkpoint_count);
                assert!(shown as u64 == count || (shown, count) == (20, CHECKPOINTS.into()));
                job.job_id.clone()
            });
            (page.clone(), ids.collect(), page.next_page_token)
        })
        .await;
        assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), expected);
    }
    // Alone, a job has the ids of all its checkpoints.
    let listed = ListJobsRequest {
        page_size: 1_000,
        ..ListJobsRequest::default()
    };
    let newest = client.clone().list_jobs(listed).await.expect("a page");
    let job_id = newest.into_inner().jobs[0].job_id.clone();
    let one = client.clone().get_job(GetJobRequest { job_id }).await;
    let one = one.expect("a job").into_inner().job.expect("set");
    assert_eq!(one.checkpoint_ids.len() as u64, one.checkpoint_count);
    server.stop().await;
}

/// A publishable checkpoint with the largest labels.
fn large_checkpoint() -> Draft {
    let layer = Layer {
        outputs: CLASSES,
        inputs: 1,
        weight: vec![1.0; CLASSES],
        bias: vec![0.0; CLASSES],
    };
    let exam = Exam {
        inputs: vec![0],
        logits: vec![0.0; CLASSES],
        images: 1,
    };
    let file = json!({ "sha256": "", "size_bytes": 0 });
    let manifest: Manifest = serde_json::from_value(json!({
        "format": 1, "id": CheckpointId::generate(), "model": "digits",
        "created_at": "2026-01-01T00:00:00Z",
        "architecture": {
            "input_size": 1, "hidden": [], "classes": CLASSES, "activation": "relu",
        },
        "input": { "height": 1, "width": 1, "scale": 255.0, "mean": 0.0, "std": 1.0 },
        "labels": label_names(), "picture_normalization": "none", "temperature": 1.0,
        "metrics": {}, "files": { "model": file, "exam": file },
        "lineage": {
            "seed": 0, "epoch": 0, "step": 0, "device": "cpu", "dataset": "", "dataset_digest": "",
            "split_digest": "", "program_version": "", "libtorch_version": "",
        },
    }))
    .expect("a manifest");
    Draft {
        manifest,
        model: encode_model(&[layer]),
        exam: encode_exam(&exam, 1, CLASSES),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_checkpoints_end_by_their_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage =
        Storage::open(&folder.path().join("storage").display().to_string()).expect("open");
    let mut expected = BTreeSet::new();
    for _ in 0..40 {
        let manifest = publish(&storage, large_checkpoint()).await;
        expected.insert(manifest.expect("published").id.to_string());
    }
    let server = Server::start(folder.path(), &[]).await;
    let client = server.checkpoints().await;
    let ids = all_ids(async |page_token| {
        let request = ListCheckpointsRequest {
            page_token,
            ..ListCheckpointsRequest::default()
        };
        let page = client.clone().list_checkpoints(request).await;
        let page = page.expect("a page").into_inner();
        let ids = page.checkpoints.iter().map(|it| it.checkpoint_id.clone());
        (page.clone(), ids.collect(), page.next_page_token)
    })
    .await;
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), expected);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_sets_come_in_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut expected: BTreeSet<String> = ["mnist@0", "synthetic@0"].map(str::to_owned).into();
    for index in 0..24_u8 {
        let part = |pixel| LabelledImages {
            images: Images {
                count: 1,
                height: 1,
                width: 2,
                pixels: vec![index, pixel].into(),
            },
            labels: vec![0],
        };
        let dataset = Dataset::new("large", part(1), part(2), label_names()).expect("it fits");
        // Several contents under each name.
        let name = format!("set-{}", index / 4);
        let digest = push(folder.path(), dataset, &name).await.digest;
        expected.insert(format!("{name}@{digest}"));
    }
    let server = Server::start(folder.path(), &[]).await;
    let client = server.training().await;
    for page_size in [0, 1, 3] {
        let ids = all_ids(async |page_token| {
            let request = ListDatasetsRequest {
                page_size,
                page_token,
            };
            let page = client.clone().list_datasets(request).await;
            let page = page.expect("a page").into_inner();
            let ids = page.datasets.iter().map(|it| match it.name.as_str() {
                name @ ("mnist" | "synthetic") => format!("{name}@0"),
                name => format!("{name}@{}", it.digest),
            });
            (page.clone(), ids.collect(), page.next_page_token)
        })
        .await;
        assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), expected);
    }
    // A client that was written before there were pages sees what fits into a message.
    let mut older = client.clone();
    let only = older.list_datasets(ListDatasetsRequest::default()).await;
    let only = only.expect("a page").into_inner();
    assert!(
        only.encoded_len() > CLIENT_LIMIT / 2,
        "{}",
        only.datasets.len()
    );
    server.stop().await;
}
