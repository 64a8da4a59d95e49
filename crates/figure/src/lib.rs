//! Figures: shapes drawn as PNG files, and small grey pictures with captions.

pub mod hardest;
mod picture_grid;
pub mod raster;
mod shapes;

pub use picture_grid::{Captioned, Drawing, Picture, picture_grid};
pub use shapes::{Anchor, Figure, Place, Shape, Size, Stroke, TEXT};
