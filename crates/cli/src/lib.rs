//! What the command-line client `digits` is made of: drawing in the terminal, curves and samples as pictures, watching
//! a job over dropped connections, and measuring a served model on a labelled set.
//!
//! It starts no service and holds no state; what is printed where is the binary's business.

pub mod call;
pub mod client;
pub mod credentials;
pub mod error;
pub mod evaluate;
pub mod json;
pub mod onnx;
pub mod plot;
pub mod registry;
pub mod render;
pub mod secure;
pub mod sheet;
pub mod text;
pub mod watch;

pub use error::{Error, Service};
