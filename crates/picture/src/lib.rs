//! Normalizes pictures of any size to the form of a model's training set.
//!
//! [`PictureFile`] reads a header, checks it against limits and says what memory decoding takes. The
//! decoders (`jpeg` with `segments`, `png`, `whole`; `formats` names what is not supported) deliver
//! rows, of which `builder` and `reduce` make a [`Picture`] of reduced size. [`Normalizer`] looks for
//! ink at a small size first, and places it as in the training set. Each step is a pure function in a
//! module of its own: `channel` (which colours show all ink), `edge` and `frame` (printed lines),
//! [`polarity`] (which side is paper), [`ink`] (segmentation), [`components`] (which ink is the
//! digit), [`number`] (which ink may be digits of a number), [`place`] (size and position), over
//! [`plane`] (resampling), [`levels`] (statistics), `trend` (uneven light) and `window` (extremes).
//! Nothing here classifies.

mod builder;
mod channel;
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
mod png;
pub mod polarity;
mod raster;
mod reduce;
mod segments;
mod trend;
mod whole;
mod window;

pub use decode::{PictureFile, Weight, decode, decode_whole, weigh};
pub use limits::{DecodeError, Limits};
pub use normalize::{Normalized, Normalizer, Recipe};
pub use raster::{Origin, Picture};

#[cfg(test)]
mod tests;
