//! Normalizes pictures of any size to the form of a model's training set.
//!
//! [`decode()`] decodes a picture within limits (`jpeg` and `segments` for JPEG, `formats` for what is
//! not supported) into a [`Picture`]; [`Normalizer`] finds the ink and places it as in
//! the training set. Each step is a pure function in a module of its own: `edge` and `frame` (printed
//! lines), [`polarity`] (which side is paper), [`ink`] (segmentation), [`components`] (which ink is
//! the digit), [`number`] (which ink may be digits of a number), [`place`] (size and position), over
//! [`plane`] (resampling), [`levels`] (statistics) and `trend` (uneven light). Nothing here classifies.

pub mod components;
mod decode;
mod edge;
mod formats;
mod frame;
pub mod ink;
mod jpeg;
pub mod levels;
mod limits;
mod normalize;
pub mod number;
pub mod place;
pub mod plane;
pub mod polarity;
mod raster;
mod segments;
mod trend;

pub use decode::{decode, decode_whole};
pub use limits::{DecodeError, Limits};
pub use normalize::{Normalized, Normalizer, Recipe};
pub use raster::{Origin, Picture};

#[cfg(test)]
mod tests;
