//! ImportCheckpoint: a state dict becomes a checkpoint that a reader accepts.

use crate::support::{Server, assert_status, get, small_job, submit, watch_to_end};
use digits_checkpoint::{Layer, Storage, encode_model, id::CheckpointId, sha256_hex};
use digits_proto::v1::{
    Activation, Checkpoint, ImportCheckpointRequest, ImportHeader, InputSpec, JobSpec, JobState,
    PictureNormalization, import_checkpoint_request::Part,
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
    let mut client = server.checkpoints().await;
    let answer = client
        .import_checkpoint(futures::stream::iter(messages))
        .await?;
    Ok(answer.into_inner().checkpoint.expect("a checkpoint"))
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
    assert_eq!(again, imported);
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
