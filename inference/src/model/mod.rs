//! What is served: models by name, each with a snapshot that is swapped as a whole.

mod loaded;
mod registry;
mod snapshot;

pub use loaded::{ImageSeconds, LoadedModel};
pub use registry::{LoadStatus, Model, Registry, RejectedRecord, StorageFault};
pub use snapshot::{ActiveRoute, ServingSnapshot};
