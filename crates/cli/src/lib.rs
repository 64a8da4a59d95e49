//! Parts of the command-line client `digits`: terminal drawings, plots and contact sheets,
//! evaluation of a served model on a labelled set, data sets of other forms, model cards, ONNX
//! export, and error messages.
//!
//! It starts no service and holds no state; the binary decides what is printed where.

pub mod array_files;
pub mod contact_sheet;
pub mod endpoints;
pub mod error;
pub mod error_report;
pub mod evaluate;
pub mod format;
pub mod image_set;
pub mod import_report;
pub mod model_card;
mod natural_order;
pub mod onnx;
pub mod picture_folder;
pub mod plot;
pub mod registry;
pub mod render;
mod rpc_error;
mod tls_error;
mod wrong_server;

pub use error::Error;
