//! Pushed data sets over gRPC: found by name, pinned by digest, fetched and verified; names that do
//! not resolve are refused by field.

use crate::support::{Server, get, submit, watch_to_end};
use digits_checkpoint::{Storage, manifest::PictureNormalization};
use digits_dataset::{
    Dataset, Images, LabelledImages, idx, mnist,
    pushed::{self, Manifest, Push},
};
use digits_proto::v1::{
    Checkpoint, DataSpec, DatasetOrigin, GetCheckpointRequest, Job, JobSpec, JobState,
    ListDatasetsRequest, SplitCounts, data_spec::Split,
};
use digits_testing::skip;
use std::{fs, path::Path};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

const LABELS: u16 = 26;

/// 26 labels of 20×12: the bits of the label as bands, and a grey that depends on `salt`.
pub fn letters(salt: u8) -> Dataset {
    let part = |count: u16| LabelledImages {
        images: Images {
            count: count.into(),
            height: 20,
            width: 12,
            pixels: (0..count)
                .flat_map(|index| {
                    let label = index % LABELS;
                    (0..240_u16).map(move |place| match label >> (place / 48) & 1 {
                        1 => 255 - (index % 50) as u8,
                        _ => salt,
                    })
                })
                .collect(),
        },
        labels: (0..count).map(|index| index % LABELS).collect(),
    };
    let names = ('a'..='z').map(String::from).collect();
    Dataset::new("letters", part(520), part(52), names).expect("it fits together")
}

pub async fn push(folder: &Path, dataset: Dataset, name: &str) -> Manifest {
    push_as(folder, dataset, name, PictureNormalization::None).await
}

async fn push_as(
    folder: &Path,
    dataset: Dataset,
    name: &str,
    picture_normalization: PictureNormalization,
) -> Manifest {
    let storage = Storage::open(&folder.join("storage").display().to_string()).expect("opened");
    let push = Push {
        name: name.parse().expect("a name"),
        picture_normalization,
        description: "26 bands".to_owned(),
        by: "ada".to_owned(),
    };
    pushed::push(&storage, dataset, push)
        .await
        .expect("pushed")
        .manifest
}

pub fn job_on(dataset: &str) -> JobSpec {
    JobSpec {
        data: Some(DataSpec {
            dataset: Some(dataset.to_owned()),
            ..DataSpec::default()
        }),
        epochs: Some(1),
        batch_size: Some(20),
        device: Some("cpu".to_owned()),
        ..JobSpec::default()
    }
}

/// Runs a job to its end.
async fn run(server: &Server, request_id: &str, spec: JobSpec) -> Job {
    let mut client = server.training().await;
    let job = submit(&mut client, request_id, spec)
        .await
        .expect("accepted");
    watch_to_end(&mut client, &job.job_id, 0).await;
    get(&mut client, &job.job_id).await
}

fn resolved(job: &Job) -> String {
    let data = job.resolved.as_ref().and_then(|spec| spec.data.clone());
    data.and_then(|data| data.dataset).expect("a data set")
}

async fn checkpoint(server: &Server, job: &Job) -> Checkpoint {
    let request = GetCheckpointRequest {
        checkpoint_id: job.checkpoint_ids[0].clone(),
    };
    let answer = server.checkpoints().await.get_checkpoint(request).await;
    answer
        .expect("the checkpoint")
        .into_inner()
        .checkpoint
        .expect("a checkpoint")
}

fn assert_refused(status: &Status, part: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let violations = status
        .get_details_bad_request()
        .expect("violations")
        .field_violations;
    let fields: Vec<&str> = violations.iter().map(|it| it.field.as_str()).collect();
    assert_eq!(fields, ["spec.data.dataset"]);
    let message = &violations[0].description;
    assert!(message.contains(part), "{part:?} is not in {message:?}");
    assert!(!message.contains('/'), "no path goes out: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_means_the_newest_content_and_a_job_keeps_its_pinned_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = push(folder.path(), letters(0), "letters").await;
    let server = Server::start(folder.path(), &[]).await;
    let job = run(&server, "first", job_on("letters")).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    assert_eq!(resolved(&job), format!("letters@{}", old.digest));
    assert_eq!(job.requested, Some(job_on("letters")));
    assert_eq!(job.dataset_digest, old.digest);
    let first = checkpoint(&server, &job).await;
    assert_eq!(first.label_names, old.labels);
    assert_eq!(first.input.map(|it| (it.height, it.width)), Some((20, 12)));
    // PICTURE_NORMALIZATION_NONE
    assert_eq!(first.picture_normalization, 1);
    let lineage = first.lineage.expect("a lineage");
    assert_eq!(lineage.dataset_digest, old.digest);

    let new = push(folder.path(), letters(9), "letters").await;
    // The same request is the same job, whatever the name means by now.
    let again = run(&server, "first", job_on("letters")).await;
    assert_eq!((again.job_id, again.attempts), (job.job_id, 1));
    let newest = run(&server, "second", job_on("letters")).await;
    assert_eq!(newest.dataset_digest, new.digest, "{}", newest.error);
    let by_digest = job_on(&format!("letters@{}", &old.digest[..8]));
    let earlier = run(&server, "third", by_digest).await;
    assert_eq!(earlier.dataset_digest, old.digest, "{}", earlier.error);
    assert_eq!(resolved(&earlier), format!("letters@{}", old.digest));
    // Equal spec, equal data: equal weights.
    let third = checkpoint(&server, &earlier).await;
    assert_eq!(third.weights_sha256, first.weights_sha256);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetched_data_sets_survive_a_restart_and_damaged_ones_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let manifest = push(folder.path(), letters(0), "letters").await;
    let server = Server::start(folder.path(), &[]).await;
    let job = run(&server, "first", job_on("letters")).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    server.stop().await;

    let images = folder
        .path()
        .join("storage/datasets")
        .join(&manifest.digest);
    let images = images.join("train-images-idx3-ubyte");
    let mut bytes = fs::read(&images).expect("read");
    bytes[100] ^= 1;
    fs::write(&images, bytes).expect("written");
    let server = Server::start(folder.path(), &[]).await;
    let job = run(&server, "second", job_on("letters")).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    server.stop().await;

    // Without the cache the damage is found, and the job fails with a reason.
    fs::remove_dir_all(folder.path().join("state/datasets")).expect("removed");
    let server = Server::start(folder.path(), &[]).await;
    let job = run(&server, "third", job_on("letters")).await;
    assert_eq!(job.state(), JobState::Failed);
    assert!(
        job.error.contains("letters is damaged on the storage"),
        "{}",
        job.error
    );
    assert!(
        job.checkpoint_ids.is_empty() && !job.error.contains('/'),
        "{}",
        job.error
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_ambiguous_names_are_refused_by_field() {
    let folder = tempfile::tempdir().expect("a folder");
    let manifest = push(folder.path(), letters(0), "letters").await;
    push(folder.path(), letters(1), "shadowed").await;
    let broken = push(folder.path(), letters(2), "broken").await;
    let path = folder.path().join("storage/datasets").join(&broken.digest);
    fs::write(path.join("manifest.json"), "{}").expect("written");
    let config = configuration(folder.path());
    let limit = manifest.size_bytes().to_string();
    let server = Server::start(
        folder.path(),
        &["--config", &config, "--max-dataset-bytes", &limit],
    )
    .await;
    let mut client = server.training().await;
    for (dataset, part) in [
        ("nothing", "use mnist, synthetic, shadowed or a pushed one"),
        ("synthetic@00000000", "does not exist"),
        ("letters@00000000", "does not exist"),
        ("letters@0000", "8 to 64 hexadecimal digits"),
        ("../letters", "no such data set"),
        ("shadowed", "both a configured and a pushed data set"),
        ("broken", "is damaged on the storage"),
    ] {
        let status = submit(&mut client, dataset, job_on(dataset))
            .await
            .expect_err(dataset);
        assert_refused(&status, part);
    }
    let big = letters(3);
    let mut train = big.train.clone();
    train.images.count += 1;
    train.images.pixels = [&train.images.pixels[..], &[7; 240]].concat().into();
    train.labels.push(0);
    let big = Dataset::new("big", train, big.test, big.label_names).expect("it fits");
    push(folder.path(), big, "big").await;
    let status = submit(&mut client, "big", job_on("big"))
        .await
        .expect_err("big");
    assert_refused(&status, "above this trainer's limit");

    let request = ListDatasetsRequest::default();
    let listed = client
        .list_datasets(request)
        .await
        .expect("listed")
        .into_inner()
        .datasets;
    let names: Vec<(&str, DatasetOrigin)> = listed
        .iter()
        .map(|it| (it.name.as_str(), it.origin()))
        .collect();
    assert_eq!(
        names,
        [
            ("mnist", DatasetOrigin::BuiltIn),
            ("synthetic", DatasetOrigin::BuiltIn),
            ("shadowed", DatasetOrigin::Configured),
            ("big", DatasetOrigin::Pushed),
            ("letters", DatasetOrigin::Pushed),
            ("shadowed", DatasetOrigin::Pushed),
        ]
    );
    let letters = &listed[4];
    assert_eq!(
        (letters.height, letters.width, letters.label_names.len()),
        (20, 12, 26)
    );
    assert_eq!((letters.train_images, letters.test_images), (520, 52));
    assert_eq!(letters.train_label_counts, [20; 26]);
    assert_eq!(letters.digest, manifest.digest);
    assert_eq!(letters.pushed_by, "ada");
    assert!(letters.pushed_at.is_some() && !letters.superseded);
    server.stop().await;
}

/// A configuration that names one folder `shadowed`.
fn configuration(folder: &Path) -> String {
    let data = letters(4);
    let dir = folder.join("idx");
    fs::create_dir(&dir).expect("created");
    let write = |images: &str, labels: &str, part: &LabelledImages| {
        idx::write_images(&dir.join(images), &part.images).expect("written");
        idx::write_labels(&dir.join(labels), &part.labels).expect("written");
    };
    write(
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        &data.train,
    );
    write(
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
        &data.test,
    );
    let path = folder.join("trainer.toml");
    let text = "[[dataset]]\nname = \"shadowed\"\npath = \"idx\"\n";
    fs::write(&path, text).expect("written");
    path.display().to_string()
}

/// A trainer without MNIST's files takes the data set from the storage if its name is `mnist`.
#[tokio::test(flavor = "multi_thread")]
async fn mnist_is_loaded_from_the_storage() {
    let source = mnist::MnistSource {
        download: false,
        ..mnist::MnistSource::default()
    };
    let Ok(dataset) = mnist::load(&source, &mut |_| ()) else {
        return skip("mnist_is_loaded_from_the_storage", "set DIGITS_MNIST_DIR");
    };
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("created");
    let server = Server::start(
        folder.path(),
        &["--mnist-dir", &empty.display().to_string()],
    )
    .await;
    let short = || {
        let mut spec = job_on("mnist");
        let split = Split::Counts(SplitCounts {
            train: 1_000,
            validation: 100,
        });
        spec.data.get_or_insert_default().split = Some(split);
        spec
    };
    push(folder.path(), letters(0), "letters").await;
    let job = run(&server, "before", short()).await;
    assert_eq!(job.state(), JobState::Failed);
    assert!(
        job.error.contains("the data set mnist cannot be loaded"),
        "{}",
        job.error
    );

    let digest = push(folder.path(), dataset, "mnist").await.digest;
    let job = run(&server, "after", short()).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    assert_eq!(
        (resolved(&job).as_str(), job.dataset_digest.as_str()),
        ("mnist", digest.as_str())
    );
    // As every MNIST: PICTURE_NORMALIZATION_MNIST
    assert_eq!(checkpoint(&server, &job).await.picture_normalization, 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_keeps_the_normalization_that_its_data_set_had_when_it_was_submitted() {
    let folder = tempfile::tempdir().expect("a folder");
    let digest = push(folder.path(), letters(0), "letters").await.digest;
    let server = Server::start(folder.path(), &[]).await;
    let plain = run(&server, "plain", job_on("letters")).await;
    push_as(
        folder.path(),
        letters(0),
        "letters",
        PictureNormalization::Mnist,
    )
    .await;
    let corrected = run(&server, "corrected", job_on("letters")).await;
    assert_eq!(
        resolved(&corrected),
        format!("letters@{digest}+handwriting")
    );
    // As `digits reproduce` submits it.
    let again = run(&server, "again", job_on(&resolved(&plain))).await;
    for (job, normalization) in [(&plain, 1), (&corrected, 2), (&again, 1)] {
        assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
        assert_eq!(job.dataset_digest, digest);
        let checkpoint = checkpoint(&server, job).await;
        assert_eq!(checkpoint.picture_normalization, normalization);
    }
    server.stop().await;
}
