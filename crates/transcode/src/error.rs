//! What can be wrong with descriptors and messages.

/// Descriptors that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// They are no `google.protobuf.FileDescriptorSet`.
    #[error("the descriptors cannot be decoded: {0}")]
    Decode(#[from] prost::DecodeError),
    /// A type that a field or method names is not there.
    #[error("the descriptors do not have {0}")]
    Missing(String),
    /// A type whose JSON form is not implemented.
    #[error("{field} has the type {kind}, whose JSON form is not implemented")]
    Unsupported {
        /// Full name of the field.
        field: String,
        /// What is not implemented.
        kind: String,
    },
}

/// Text that is not the JSON form of a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJson {
    /// What is wrong, with line and column.
    #[error("{0}")]
    Syntax(String),
    /// The message would be longer than the given limit.
    #[error("the message is longer than {0} bytes, the limit")]
    TooLong(usize),
}

/// Bytes that are not the wire format of a message, or have no JSON form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the message {message} cannot be written as JSON: {reason}")]
pub struct InvalidWire {
    /// Full name of the message.
    pub message: String,
    /// What is wrong.
    pub reason: &'static str,
}
