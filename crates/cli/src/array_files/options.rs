//! How files are read where the user says so.

use crate::image_set::Size;

/// How the files are read, beside [`Handling`](digits_dataset::Handling).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Scales the images to this size; or the size of images that are rows of so many pixels.
    pub size: Option<Size>,
    /// The column of labels: its name, `first`, `last`, or its number from one.
    pub label_column: Option<String>,
    /// The value of a white pixel.
    pub white: Option<f32>,
}
