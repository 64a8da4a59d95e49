//! Data sets of small grey images with labels: MNIST, the built-in synthetic digits, folders of IDX
//! files, and data sets that users push to the shared storage.
//!
//! Pixels stay the bytes of the file: this crate does not split, shuffle, scale or augment.
//! [`corruptions`] makes changed copies for tests of robustness. All modules but [`pushed`] are
//! synchronous: reading, drawing and downloading block the calling thread, for seconds or (a
//! download) minutes.
//!
//! ```
//! use digits_dataset::synthetic::{self, Options};
//!
//! let options = Options { train: 20, test: 10, seed: 7 };
//! let digits = synthetic::generate(&options);
//! assert_eq!((digits.train.images.count, digits.height(), digits.width()), (20, 28, 28));
//! assert_eq!(digits.label_names.len(), 10);
//! // Equal content has an equal digest, whatever the name of the data set.
//! assert_eq!(digits.digest, synthetic::generate(&options).digest);
//! ```

mod assembly;
pub mod corruptions;
mod dataset;
mod digest;
mod error;
mod files;
mod finding;
pub mod folder;
mod hold_out;
pub mod idx;
mod images;
mod inspection;
#[cfg(feature = "messages")]
pub mod messages;
pub mod mnist;
mod pixel_buffer;
pub mod pushed;
mod random;
mod strokes;
pub mod styles;
pub mod synthetic;

pub use assembly::{Assembled, Handling, Orientation, Parts, Polarity, assemble};
pub use dataset::{Dataset, numbered_names};
pub use error::DatasetError;
pub use finding::Finding;
pub use images::{Images, LabelledImages};
pub use pixel_buffer::{PixelBuffer, PixelStore};

/// Most labels that a data set may have.
pub const MAX_CLASSES: usize = 1_000;
/// Greatest height and width of an image, in pixels.
pub const MAX_SIDE: usize = 4_096;

#[cfg(test)]
mod test_server;
#[cfg(test)]
mod tests;
