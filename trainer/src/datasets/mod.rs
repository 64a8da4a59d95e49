//! The data sets that a job may name: MNIST, the built-in synthetic digits, the folders of the
//! configuration, and those pushed to the storage.
//!
//! Clients name them and never give a path. The named data set is loaded or the job fails; there is
//! no fallback. Loading and looking for pushed data sets block: on the worker's thread or on a
//! blocking one.

mod catalog;
mod error;
mod list;
mod pushed;
mod source;

pub use catalog::{Catalog, Folder};
pub use error::{UnusableDataset, client_message};
pub use list::{DatasetEntry, Position};
pub use pushed::Pushed;
pub use source::{BUILT_IN, DEFAULT_SYNTHETIC, DatasetContent, DatasetSource, Shape};
