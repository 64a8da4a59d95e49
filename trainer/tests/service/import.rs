//! ImportCheckpoint: a state dict becomes a checkpoint that a reader accepts.

use crate::support::{Server, assert_status, get, small_job, submit, watch_to_end};
use digits_checkpoint::{Layer, Storage, encode_model, id::CheckpointId, sha256_hex};
use digits_proto::v1::{
    Activation, ArchitectureSpec, Checkpoint, DataSpec, ImportCheckpointRequest,
    ImportCheckpointResponse, ImportHeader, InputSpec, JobSpec, JobState, PictureNormalization,
    import_checkpoint_request::Part,
};
use safetensors::{Dtype, tensor::TensorView};
use std::path::Path;
use tonic::{Code, Status};

fn layers(sizes: &[(usize, usize)]) -> Vec<Layer> {
    let mut number = 0.1_f32;
    let mut next = || {
        number = (number * 7.3 + 0.11) % 1.0;
        number - 0.5
    };
    sizes
        .iter()
        .map(|&(outputs, inputs)| Layer {
            outputs,
            inputs,
            weight: (0..outputs * inputs).map(|_| next()).collect(),
            bias: (0..outputs).map(|_| next()).collect(),
        })
        .collect()
}

/// A state dict as an `nn.Sequential` names it, with the metadata that PyTorch's writer adds.
fn sequential(layers: &[Layer]) -> Vec<u8> {
    let bytes = |numbers: &[f32]| -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect()
    };
    let mut tensors = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let name = 2 * index + 1;
        let shape = vec![layer.outputs, layer.inputs];
        tensors.push((format!("{name}.weight"), shape, bytes(&layer.weight)));
        tensors.push((
            format!("{name}.bias"),
            vec![layer.outputs],
            bytes(&layer.bias),
        ));
    }
    let views = tensors.iter().map(|(name, shape, data)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), data).expect("fits");
        (name.as_str(), view)
    });
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize(views, Some(metadata)).expect("serialised")
}

fn header() -> ImportHeader {
    ImportHeader {
        checkpoint_id: CheckpointId::generate().to_string(),
        ..ImportHeader::default()
    }
}

fn messages(header: ImportHeader, file: &[u8]) -> Vec<ImportCheckpointRequest> {
    let pieces = file.chunks(100_000);
    std::iter::once(Part::Header(header))
        .chain(pieces.map(|piece| Part::Piece(piece.to_vec())))
        .map(|part| ImportCheckpointRequest { part: Some(part) })
        .collect()
}

async fn send(
    server: &Server,
    messages: Vec<ImportCheckpointRequest>,
) -> Result<Checkpoint, Status> {
    let answer = import(server, messages).await?;
    Ok(answer.checkpoint.expect("a checkpoint"))
}

async fn import(
    server: &Server,
    messages: Vec<ImportCheckpointRequest>,
) -> Result<ImportCheckpointResponse, Status> {
    let mut client = server.checkpoints().await;
    let answer = client
        .import_checkpoint(futures::stream::iter(messages))
        .await?;
    Ok(answer.into_inner())
}

fn storage(folder: &Path) -> Storage {
    Storage::open(&folder.join("storage").display().to_string()).expect("open")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_dict_becomes_a_checkpoint_to_start_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let layers = layers(&[(20, 784), (10, 20)]);
    let file = sequential(&layers);
    let header = ImportHeader {
        activation: Activation::Gelu.into(),
        ..header()
    };
    let imported = send(&server, messages(header.clone(), &file))
        .await
        .expect("imported");
    assert_eq!(imported.checkpoint_id, header.checkpoint_id);
    assert_eq!(imported.weights_sha256, sha256_hex(&encode_model(&layers)));
    assert_eq!(imported.label_names.len(), 10);
    assert_eq!(
        imported.picture_normalization(),
        PictureNormalization::Mnist
    );
    let lineage = imported.lineage.clone().expect("a lineage");
    assert_eq!(lineage.job_id, "");
    assert!(lineage.spec.is_none());
    assert_eq!(lineage.imported_sha256, sha256_hex(&file));
    let id = imported.checkpoint_id.parse().expect("an id");
    let loaded = digits_checkpoint::load(&storage(folder.path()), id)
        .await
        .expect("a reader accepts it");
    assert_eq!(loaded.layers, layers);
    assert!(loaded.exam.images >= 30, "digits, blank, saturated, noise");

    // Again it is the same; another file under the id is not.
    let again = send(&server, messages(header.clone(), &file))
        .await
        .expect("again");
    // A number with a fraction may lose its last bit in the manifest.
    let without_figures = |checkpoint: &Checkpoint| Checkpoint {
        test: None,
        ..checkpoint.clone()
    };
    assert_eq!(without_figures(&again), without_figures(&imported));
    let other = sequential(&self::layers(&[(10, 784)]));
    let taken = send(&server, messages(header, &other))
        .await
        .expect_err("taken");
    assert_status(&taken, Code::AlreadyExists, "is another checkpoint");

    let spec = JobSpec {
        init_from: Some(imported.checkpoint_id.clone()),
        ..small_job(1)
    };
    let mut training = server.training().await;
    let job = submit(&mut training, "a", spec).await.expect("accepted");
    watch_to_end(&mut training, &job.job_id, 0).await;
    let job = get(&mut training, &job.job_id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_for_other_image_sizes_have_an_exam() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let header = ImportHeader {
        model: Some("letters".to_owned()),
        input: Some(InputSpec {
            height: 9,
            width: 7,
            scale: 1.0,
            mean: -0.5,
            std: 2.0,
        }),
        label_names: ["a", "b", "c"].map(str::to_owned).to_vec(),
        temperature: Some(1.5),
        ..header()
    };
    let file = sequential(&layers(&[(3, 63)]));
    let imported = send(&server, messages(header, &file))
        .await
        .expect("imported");
    assert_eq!(imported.model, "letters");
    assert_eq!(imported.temperature, 1.5);
    assert_eq!(imported.picture_normalization(), PictureNormalization::None);
    let id = imported.checkpoint_id.parse().expect("an id");
    let loaded = digits_checkpoint::load(&storage(folder.path()), id)
        .await
        .expect("accepted");
    assert_eq!(loaded.exam.images, 6);
    assert_eq!(loaded.manifest.metrics.test, None, "no images of this size");
    server.stop().await;
}

/// The weights of a job, imported again: what they were trained with is found.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_measured_on_the_data_of_what_serves() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut training = server.training().await;
    let tanh = small_job(12);
    let spec = JobSpec {
        architecture: Some(ArchitectureSpec {
            activation: Activation::Tanh.into(),
            ..ArchitectureSpec::default()
        }),
        data: tanh.data.clone().map(|data| DataSpec {
            mean: Some(0.1307),
            std: Some(0.3081),
            ..data
        }),
        ..tanh
    };
    let job = submit(&mut training, "a", spec).await.expect("accepted");
    watch_to_end(&mut training, &job.job_id, 0).await;
    let job = get(&mut training, &job.job_id).await;
    let id = job.checkpoint_ids.last().expect("a checkpoint");
    let trained = digits_checkpoint::load(&storage(folder.path()), id.parse().expect("an id"))
        .await
        .expect("loaded");
    let test = trained.manifest.metrics.test.expect("a test");
    let file = sequential(&trained.layers);

    let right = ImportHeader {
        activation: Activation::Tanh.into(),
        input: Some(InputSpec {
            height: 28,
            width: 28,
            scale: 255.0,
            mean: 0.1307,
            std: 0.3081,
        }),
        ..header()
    };
    let imported = import(&server, messages(right, &file))
        .await
        .expect("imported");
    let measured = imported.measurement.expect("measured");
    assert_eq!(measured.dataset, "synthetic");
    assert_eq!(&measured.served_checkpoint_id, id);
    let under_right = measured.evaluation.expect("figures");
    assert_eq!(under_right.correct, test.correct);
    assert!((under_right.loss - test.loss).abs() < 1e-5);
    assert_eq!(measured.served.expect("figures").correct, test.correct);
    assert!(!measured.best_is_clearly_better);
    let checkpoint = imported.checkpoint.expect("a checkpoint");
    assert_eq!(checkpoint.test, Some(under_right));
    let lineage = checkpoint.lineage.expect("a lineage");
    assert_eq!(lineage.dataset, "synthetic");
    assert_eq!(
        lineage.dataset_digest,
        trained.manifest.lineage.dataset_digest
    );

    // Raw pixels saturate tanh.
    let wrong = ImportHeader {
        input: Some(InputSpec {
            height: 28,
            width: 28,
            scale: 1.0,
            mean: 0.0,
            std: 1.0,
        }),
        ..header()
    };
    let imported = import(&server, messages(wrong, &file))
        .await
        .expect("imported");
    let measured = imported.measurement.expect("measured");
    let (given, best) = (measured.evaluation, measured.best_evaluation);
    let (given, best) = (given.expect("figures"), best.expect("figures"));
    assert!(measured.best_is_clearly_better, "{given:?} {best:?}");
    assert!(best.accuracy >= under_right.accuracy, "{best:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_imports_are_refused_by_field() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let good = sequential(&layers(&[(10, 784)]));
    let with = |change: &dyn Fn(&mut ImportHeader)| {
        let mut header = header();
        change(&mut header);
        messages(header, &good)
    };
    let mut late = messages(header(), &good);
    late.rotate_left(1);
    let mut twice = messages(header(), &good);
    twice.insert(1, twice[0].clone());
    let huge = ImportCheckpointRequest {
        part: Some(Part::Piece(vec![0; (256 << 10) + 1])),
    };
    let cases: Vec<(Vec<ImportCheckpointRequest>, &str)> = vec![
        (vec![], "header: must be the first message"),
        (late, "header: must be the first message"),
        (twice, "header: must be the first message alone"),
        (
            vec![messages(header(), &[])[0].clone(), huge],
            "piece: must be 1 to",
        ),
        (messages(header(), &[]), "piece: is too short"),
        (
            messages(header(), &good[..good.len() - 1]),
            "piece: is not a complete safetensors",
        ),
        (
            messages(header(), &sequential(&layers(&[(1001, 784)]))),
            "piece: ",
        ),
        (
            with(&|it| it.checkpoint_id.clear()),
            "header.checkpoint_id: must be a UUIDv7",
        ),
        (
            with(&|it| it.checkpoint_id = uuid::Uuid::nil().to_string()),
            "header.checkpoint_id: must be a UUIDv7",
        ),
        (
            with(&|it| it.model = Some("A".to_owned())),
            "header.model: not a model name",
        ),
        (
            with(&|it| it.activation = 9),
            "header.activation: is not known",
        ),
        (
            with(&|it| it.negative_slope = Some(0.1)),
            "header.negative_slope: is only for LEAKY_RELU",
        ),
        (
            with(&|it| {
                it.activation = Activation::LeakyRelu.into();
                it.negative_slope = Some(-0.1);
            }),
            "header.negative_slope: must be from 0 to 1, not -0.1",
        ),
        (
            with(&|it| it.batch_norm = 9),
            "header.batch_norm: is not known",
        ),
        (
            with(&|it| it.batch_norm_epsilon = Some(-1e-3)),
            "header.batch_norm_epsilon: must be from 0 to 1, not -0.001",
        ),
        (
            with(&|it| it.dataset = Some("nowhere".to_owned())),
            "header.dataset: there is no such data set",
        ),
        (
            with(&|it| it.picture_normalization = 9),
            "header.picture_normalization: is not known",
        ),
        (
            with(&|it| it.label_names = vec!["a".to_owned()]),
            "header.label_names: must be 10",
        ),
        (with(&|it| it.temperature = Some(0.0)), "header: "),
        (
            with(&|it| {
                it.input = Some(InputSpec {
                    height: 14,
                    width: 14,
                    scale: 255.0,
                    mean: 0.0,
                    std: 1.0,
                });
            }),
            "header.input: 14×14 pixels are not the 784 values",
        ),
    ];
    for (messages, part) in cases {
        let status = send(&server, messages).await.expect_err(part);
        assert_status(&status, Code::InvalidArgument, part);
    }
    let listed = digits_checkpoint::list_checkpoints(&storage(folder.path())).await;
    assert!(listed.expect("listed").is_empty(), "nothing was committed");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_quotas_of_imports_and_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let file = sequential(&layers(&[(10, 784)]));
    let bytes = (file.len() * 2 + 100).to_string();
    let flags = ["--quota-imports", "2", "--quota-import-bytes", &bytes];
    let server = Server::start(folder.path(), &flags).await;
    let refused = async |server: &Server, part: &str| {
        let refused = send(server, messages(header(), &file)).await.unwrap_err();
        assert_status(&refused, Code::ResourceExhausted, part);
    };
    send(&server, messages(header(), &file)).await.unwrap();
    // Bytes that became no checkpoint count too.
    let garbage = vec![7; 200];
    let damaged = send(&server, messages(header(), &garbage)).await;
    assert_eq!(damaged.unwrap_err().code(), Code::InvalidArgument);
    refused(
        &server,
        &format!("more than {bytes} bytes, which is its quota"),
    )
    .await;
    server.stop().await;

    // What was used is known after a restart.
    let flags = ["--quota-imports", "1"];
    let server = Server::start(folder.path(), &flags).await;
    refused(
        &server,
        "has imported 1 checkpoints within 24 hours, which is its quota",
    )
    .await;
    server.stop().await;
}
