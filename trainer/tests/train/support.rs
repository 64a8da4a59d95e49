//! Data sets, plans and observers for the tests of the training. One file each, since the
//! benchmarks and the examples include some of them.

mod head;
mod mnist;
mod notebook_plan;
mod patterns;
mod python;
mod record;

pub use head::head;
pub use mnist::{mnist, mnist_dir};
pub use notebook_plan::notebook_plan;
pub use patterns::patterns;
pub use python::{python_with_torch, script};
pub use record::Record;
