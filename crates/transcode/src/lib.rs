//! Converts protobuf messages between their wire format and JSON
//! (<https://protobuf.dev/programming-guides/json/>), by the descriptors of the `.proto` files. It
//! knows no service and no transport.
//!
//! Both directions go from bytes to bytes. There is no message in between, whose size in memory
//! would be a multiple of its text, so what a client makes a service hold is bounded by the length
//! of the output alone.
//!
//! ```
//! use digits_transcode::Schema;
//!
//! let service = "digits.v1.InferenceService";
//! let schema = Schema::new([digits_proto::FILE_DESCRIPTOR_SET], &[service])?;
//! let method = schema.method("/digits.v1.InferenceService/Predict").expect("a method");
//! let wire = schema.to_wire(method.input, br#"{"model": "digits", "topK": 3}"#, 1 << 20)?;
//! assert_eq!(wire, b"\x0a\x06digits\x28\x03");
//! assert_eq!(schema.to_json(method.input, &wire)?, br#"{"model":"digits","topK":3}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
pub mod openapi;
mod parameters;
mod read;
mod scalar;
mod schema;
mod well_known;
mod wire;
mod write;

pub use error::{InvalidJson, InvalidWire, SchemaError};
pub use parameters::BytesField;
pub use schema::{MessageId, Method, Schema};
