//! Paths whose body is the value of one field of a method's request, such as a picture, with other
//! fields in the query: `curl --data-binary @seven.png …/v1/predict?topK=3`.

use digits_transcode::{BytesField, Method, Schema};
use http::Uri;

/// A path for the bytes of one field.
#[derive(Debug, Clone, Copy)]
pub struct Upload {
    /// The path, such as `/v1/predict`.
    pub path: &'static str,
    /// Path of the method, such as `/digits.v1.InferenceService/Predict`.
    pub method: &'static str,
    /// Names of the fields that lead to the bytes, such as `pictures.encoded`.
    pub field: &'static str,
    /// The text of an encoded response, for clients that prefer `text/plain`.
    pub text: fn(&[u8]) -> String,
}

/// An [`Upload`] by the types of the schema.
#[derive(Debug)]
pub(super) struct UploadTarget {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) field: BytesField,
    pub(super) text: fn(&[u8]) -> String,
}

impl UploadTarget {
    /// # Panics
    /// When the schema lacks the method or the field.
    pub(super) fn of(schema: &Schema, upload: Upload) -> Self {
        let method = schema
            .method(upload.method)
            .expect("a method of the schema");
        let field = schema.bytes_field(method.input, upload.field);
        Self {
            method,
            uri: Uri::from_static(upload.method),
            field: field.expect("a field of the method's request"),
            text: upload.text,
        }
    }
}
