//! Imports state dicts that were trained elsewhere as checkpoints.

mod error;
mod publish;
mod state_dict;

pub use error::ImportError;
pub use publish::{Import, MAX_FILE_BYTES, import};
