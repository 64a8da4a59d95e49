//! Publishes a state dict that was trained elsewhere as a checkpoint: layers from the file, an exam
//! from this libtorch, figures on labelled images. Promotes nothing.
//!
//! There is no intent in the job database: files that a crash leaves behind have no manifest, the
//! caller imports again under the same id, and retention deletes the rest.

use super::{
    batch_norm::NormSettings,
    error::ImportError,
    labelled::{self, Wanted},
    measure::{Measurement, Setting, architecture, measure},
    state_dict::{self, StateDict},
};
use crate::{blocking, datasets::Catalog, train};
use digits_checkpoint::{
    Draft, Exam, Layer, Loaded, RefusalReason, Storage, StorageError, encode_exam, encode_model,
    id::{CheckpointId, ModelName},
    manifest::{
        Activation, Architecture, FORMAT, FileDigest, Files, InputSpec, Lineage, Manifest, Metrics,
        PictureNormalization,
    },
    serving, sha256_hex,
};
use digits_dataset::{Images, numbered_names, synthetic};
use std::sync::Arc;

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
    /// Batch normalizations in the file.
    pub batch_norm: NormSettings,
    /// Name of the data set to measure the network on; `None` for one of its shape.
    pub dataset: Option<String>,
}

/// A published import.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The committed manifest.
    pub manifest: Manifest,
    /// What was done to the file, a sentence each.
    pub notes: Vec<String>,
    /// How good the network is; `None` where no labelled images of its shape are known.
    pub measurement: Option<Measurement>,
}

/// Publishes `file` as a checkpoint. Idempotent for one id. Not cancel-safe: when dropped, the
/// checkpoint may be committed or not.
///
/// # Errors
/// [`ImportError`].
pub async fn import(
    storage: &Storage,
    catalog: Arc<Catalog>,
    import: Import,
    file: Vec<u8>,
) -> Result<Imported, ImportError> {
    let id = import.id;
    let served = served(storage, &import.model).await;
    let prepared = blocking::on_storage(move || prepare(import, &file, &catalog, served.as_ref()));
    let (draft, notes, measurement) = prepared.await.map_err(|_| ImportError::Panic)??;
    match digits_checkpoint::publish(storage, draft).await {
        Ok(manifest) => Ok(Imported {
            manifest,
            notes,
            measurement,
        }),
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

/// The primary of a model, to compare with. An import does not depend on it.
async fn served(storage: &Storage, model: &ModelName) -> Option<Loaded> {
    let primary = match serving::head(storage, model).await {
        Ok(record) => record?.primary()?,
        Err(error) => {
            tracing::warn!(%model, %error, "an import is not compared with what is served: the serving log cannot be read");
            return None;
        }
    };
    digits_checkpoint::load(storage, primary)
        .await
        .inspect_err(|error| {
            tracing::warn!(checkpoint = %primary, %error, "an import is not compared with what is served: it cannot be loaded");
        })
        .ok()
}

type Prepared = (Draft, Vec<String>, Option<Measurement>);

fn prepare(
    import: Import,
    file: &[u8],
    catalog: &Catalog,
    served: Option<&Loaded>,
) -> Result<Prepared, ImportError> {
    let InputSpec { height, width, .. } = import.input;
    let size = height.saturating_mul(width);
    let state = state_dict::read(file, size, import.batch_norm)?;
    let architecture = architecture(&state.layers, import.activation);
    architecture
        .validate()
        .map_err(|refusal| ImportError::invalid("piece", refusal.message))?;
    if size != architecture.input_size {
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
    let mut manifest = manifest(&import, architecture, sha256_hex(file));
    let measurement = measured(&import, &state, catalog, served)?;
    if let Some(measured) = &measurement {
        manifest.metrics.test = Some(measured.given);
        manifest.lineage.dataset.clone_from(&measured.dataset);
        manifest.lineage.dataset_digest.clone_from(&measured.digest);
    }
    let exam = exam(&state.layers, &manifest.architecture, import.input)?;
    let draft = Draft {
        exam: encode_exam(&exam, size, classes),
        model: encode_model(&state.layers),
        manifest,
    };
    Ok((draft, state.notes, measurement))
}

/// The figures on the data set on which the network does best.
fn measured(
    import: &Import,
    state: &StateDict,
    catalog: &Catalog,
    served: Option<&Loaded>,
) -> Result<Option<Measurement>, ImportError> {
    let wanted = Wanted {
        height: import.input.height,
        width: import.input.width,
        classes: state.layers.last().map_or(0, |layer| layer.outputs),
        labels: &import.labels,
    };
    let manifest = served.map(|it| &it.manifest);
    let sets = labelled::find(catalog, wanted, import.dataset.as_deref(), manifest)?;
    let given = Setting {
        input: import.input,
        activation: import.activation,
        batch_norm: None,
    };
    on_own_thread(|| measure(state, given, &sets, served))
}

/// Computes on a thread of its own, because libtorch's number of threads is set per thread.
fn on_own_thread<T: Send>(
    compute: impl FnOnce() -> Result<T, ImportError> + Send,
) -> Result<T, ImportError> {
    std::thread::scope(|scope| scope.spawn(compute).join()).map_err(|_| ImportError::Panic)?
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
            pixels: Default::default(),
        };
    }
    on_own_thread(|| Ok(train::make_exam(&images, layers, architecture, &input)?))
}

fn manifest(import: &Import, architecture: Architecture, imported_sha256: String) -> Manifest {
    // `publish` fills the digests in.
    let unknown = FileDigest {
        sha256: String::new(),
        size_bytes: 0,
    };
    Manifest {
        format: FORMAT,
        id: import.id,
        model: import.model.clone(),
        created_at: jiff::Timestamp::now(),
        after_sequence: None,
        labels: if import.labels.is_empty() {
            numbered_names(architecture.classes)
        } else {
            import.labels.clone()
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
