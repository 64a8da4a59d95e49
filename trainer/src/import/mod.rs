//! Imports state dicts that were trained elsewhere as checkpoints.

mod batch_norm;
mod error;
mod foreign;
mod labelled;
mod measure;
mod modules;
mod order;
mod publish;
mod state_dict;
mod tensors;

pub use batch_norm::{NormSettings, Side};
pub use error::ImportError;
pub use measure::{Measurement, Setting};
pub use publish::{Import, Imported, MAX_FILE_BYTES, import};
