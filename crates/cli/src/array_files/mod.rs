//! Reads data sets of images that are numbers or columns: CSV, NumPy's arrays and archives, and
//! Parquet. The content tells the format, the names of files and arrays tell the part.

mod csv;
mod format;
mod gzip;
mod levels;
mod names;
mod numpy;
mod options;
mod parquet;
mod reader;
mod sets;
mod shape;
mod sink;

pub use options::Options;
pub use reader::read;
pub use sets::{ArraySet, at};

#[cfg(test)]
mod tests;
