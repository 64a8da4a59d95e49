//! Publishes a state dict that was trained elsewhere as a checkpoint: layers from the file, an exam
//! from this libtorch. Promotes nothing.
//!
//! There is no intent in the job database: files that a crash leaves behind have no manifest, the
//! caller imports again under the same id, and retention deletes the rest.

use super::{error::ImportError, state_dict};
use crate::train;
use digits_checkpoint::{
    Draft, Exam, Layer, RefusalReason, Storage, StorageError, encode_exam, encode_model,
    id::{CheckpointId, ModelName},
    manifest::{
        Activation, Architecture, FORMAT, FileDigest, Files, InputSpec, Lineage, Manifest, Metrics,
        PictureNormalization,
    },
    sha256_hex,
};
use digits_dataset::{Images, numbered_names, synthetic};

/// Largest file: the parameters of the largest network, and a header.
pub const MAX_FILE_BYTES: usize = (512 << 20) + (1 << 20);

/// Synthetic digits in the exam of a network that takes 28×28 pixels.
const EXAM_DIGITS: usize = 26;

/// The header of an import.
#[derive(Clone, Debug)]
pub struct Import {
    /// Id of the new checkpoint.
    pub id: CheckpointId,
    /// The model that the checkpoint belongs to.
    pub model: ModelName,
    /// Activation between the layers.
    pub activation: Activation,
    /// Scaling of raw pixels to an input.
    pub input: InputSpec,
    /// Names of the classes; empty for their numbers.
    pub labels: Vec<String>,
    /// Normalization of a user's picture.
    pub picture_normalization: PictureNormalization,
    /// Divides the logits before the softmax.
    pub temperature: f64,
}

/// Publishes `file` as a checkpoint, and returns its committed manifest. Idempotent for one id. Not
/// cancel-safe: when dropped, the checkpoint may be committed or not.
///
/// # Errors
/// [`ImportError`].
pub async fn import(
    storage: &Storage,
    import: Import,
    file: Vec<u8>,
) -> Result<Manifest, ImportError> {
    let id = import.id;
    let draft = tokio::task::spawn_blocking(move || draft(import, &file))
        .await
        .map_err(|_| ImportError::Panic)??;
    match digits_checkpoint::publish(storage, draft).await {
        Ok(manifest) => Ok(manifest),
        Err(StorageError::Conflict { .. }) => Err(ImportError::Taken(id)),
        Err(StorageError::Draft { refusal, .. }) => Err(ImportError::invalid(
            match refusal.reason {
                RefusalReason::Manifest => "header",
                _ => "piece",
            },
            refusal.message,
        )),
        Err(error) => Err(ImportError::Storage(error)),
    }
}

fn draft(import: Import, file: &[u8]) -> Result<Draft, ImportError> {
    let layers = state_dict::read(file)?;
    let architecture = architecture(&layers, import.activation);
    architecture
        .validate()
        .map_err(|refusal| ImportError::invalid("piece", refusal.message))?;
    let InputSpec { height, width, .. } = import.input;
    if height.checked_mul(width) != Some(architecture.input_size) {
        return Err(ImportError::invalid(
            "header.input",
            format!(
                "{height}×{width} pixels are not the {} values that the first layer takes: set height and width",
                architecture.input_size
            ),
        ));
    }
    let classes = architecture.classes;
    if !import.labels.is_empty() && import.labels.len() != classes {
        return Err(ImportError::invalid(
            "header.label_names",
            format!(
                "must be {classes} names, one for each class, not {}",
                import.labels.len()
            ),
        ));
    }
    let exam = exam(&layers, &architecture, import.input)?;
    Ok(Draft {
        exam: encode_exam(&exam, architecture.input_size, classes),
        model: encode_model(&layers),
        manifest: manifest(import, architecture, sha256_hex(file)),
    })
}

fn architecture(layers: &[Layer], activation: Activation) -> Architecture {
    let outputs: Vec<usize> = layers.iter().map(|layer| layer.outputs).collect();
    let (&classes, hidden) = outputs.split_last().expect("a file has at least one layer");
    Architecture {
        input_size: layers[0].inputs,
        hidden: hidden.to_vec(),
        classes,
        activation,
    }
}

/// The exam: synthetic digits where the network takes their size, and the images of every exam.
fn exam(
    layers: &[Layer],
    architecture: &Architecture,
    input: InputSpec,
) -> Result<Exam, ImportError> {
    let digits = synthetic::generate(&synthetic::Options {
        train: EXAM_DIGITS,
        test: 1,
        seed: 0,
    });
    let mut images = digits.train.images;
    if (images.height, images.width) != (input.height, input.width) {
        images = Images {
            count: 0,
            height: input.height,
            width: input.width,
            pixels: Vec::new(),
        };
    }
    // A thread of its own, because libtorch's number of threads is set per thread.
    let exam = std::thread::scope(|scope| {
        scope
            .spawn(|| train::make_exam(&images, layers, architecture, &input))
            .join()
    });
    exam.map_err(|_| ImportError::Panic)?.map_err(Into::into)
}

fn manifest(import: Import, architecture: Architecture, imported_sha256: String) -> Manifest {
    // `publish` fills the digests in.
    let unknown = FileDigest {
        sha256: String::new(),
        size_bytes: 0,
    };
    Manifest {
        format: FORMAT,
        id: import.id,
        model: import.model,
        created_at: jiff::Timestamp::now(),
        labels: if import.labels.is_empty() {
            numbered_names(architecture.classes)
        } else {
            import.labels
        },
        architecture,
        input: import.input,
        picture_normalization: import.picture_normalization,
        temperature: import.temperature,
        files: Files {
            model: unknown.clone(),
            exam: unknown,
        },
        report: None,
        training: None,
        metrics: Metrics::default(),
        lineage: Lineage {
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch_version: train::libtorch_version(),
            device: "cpu".to_owned(),
            imported_sha256: Some(imported_sha256),
            ..Lineage::default()
        },
    }
}
