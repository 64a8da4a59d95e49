//! Makes a checkpoint of a state dict that was trained elsewhere: layers from the file, an exam from this libtorch,
//! and a manifest that says so. Promotes nothing.
//!
//! No intention is written down first: what a crash leaves has no manifest, the caller imports again under the same
//! id, and retention takes what nobody comes back for.

mod state_dict;

use crate::{spec::Violation, train};
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

/// Bytes of a file: those of the largest network, and its header.
pub const FILE_BYTES_AT_MOST: usize = (512 << 20) + (1 << 20);

/// Drawn digits in the exam of a network for images of their size.
const DIGITS: usize = 26;

/// What must be known of a file beside its bytes.
#[derive(Clone, Debug)]
pub struct Import {
    /// The id that it gets.
    pub id: CheckpointId,
    /// The model it is for.
    pub model: ModelName,
    /// What stands between the layers.
    pub activation: Activation,
    /// What a raw image is.
    pub input: InputSpec,
    /// Names of the classes; empty for their numbers.
    pub labels: Vec<String>,
    /// How a picture becomes an input.
    pub picture_normalization: PictureNormalization,
    /// Divides the logits.
    pub temperature: f64,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file or what is said of it is wrong, by field of the request.
    #[error("{}: {}", .0.field, .0.message)]
    Invalid(Violation),
    /// The id holds another checkpoint.
    #[error("checkpoint {0} is another one")]
    Taken(CheckpointId),
    /// The storage failed; again with the same id.
    #[error(transparent)]
    Storage(StorageError),
    /// libtorch failed: a bug, or no memory.
    #[error("the exam could not be made: {0}")]
    Exam(#[from] train::TrainError),
    /// A thread died: a bug.
    #[error("an import panicked")]
    Panic,
}

/// Publishes `file` as the checkpoint that `import` says, and returns its manifest as it is committed. Idempotent for
/// one id. Not cancel-safe: when dropped, the checkpoint may be there or not.
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
        Err(StorageError::Draft { refusal, .. }) => Err(invalid(
            match refusal.reason {
                RefusalReason::Manifest => "header",
                _ => "piece",
            },
            refusal.message,
        )),
        Err(error) => Err(ImportError::Storage(error)),
    }
}

fn invalid(field: &str, message: impl Into<String>) -> ImportError {
    ImportError::Invalid(Violation {
        field: field.to_owned(),
        message: message.into(),
    })
}

fn draft(import: Import, file: &[u8]) -> Result<Draft, ImportError> {
    let layers = state_dict::read(file).map_err(|reason| invalid("piece", reason))?;
    let architecture = architecture(&layers, import.activation);
    architecture
        .validate()
        .map_err(|refusal| invalid("piece", refusal.message))?;
    let InputSpec { height, width, .. } = import.input;
    if height.checked_mul(width) != Some(architecture.input_size) {
        return Err(invalid(
            "header.input",
            format!(
                "{height}×{width} pixels are not the {} values that the first layer takes: set height and width",
                architecture.input_size
            ),
        ));
    }
    let classes = architecture.classes;
    if !import.labels.is_empty() && import.labels.len() != classes {
        return Err(invalid(
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

/// Drawn digits where the images have their size, and what every exam has.
fn exam(
    layers: &[Layer],
    architecture: &Architecture,
    input: InputSpec,
) -> Result<Exam, ImportError> {
    let drawn = synthetic::generate(&synthetic::Options {
        train: DIGITS,
        test: 1,
        seed: 0,
    });
    let mut images = drawn.train.images;
    if (images.height, images.width) != (input.height, input.width) {
        images = Images {
            count: 0,
            height: input.height,
            width: input.width,
            pixels: Vec::new(),
        };
    }
    // A thread of its own: libtorch's number of threads is the thread's.
    let answered = std::thread::scope(|scope| {
        scope
            .spawn(|| train::make_exam(&images, layers, architecture, &input))
            .join()
    });
    answered
        .map_err(|_| ImportError::Panic)?
        .map_err(Into::into)
}

fn manifest(import: Import, architecture: Architecture, imported_sha256: String) -> Manifest {
    // The digests are filled in by `publish`.
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
