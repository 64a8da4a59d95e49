//! An OpenAPI 3.1 document (<https://spec.openapis.org/oas/v3.1.1>) of services as they are called
//! with JSON over the Connect protocol. Descriptions are the comments of the `.proto` files.

mod comments;
mod types;

use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto};
use serde_json::{Map, Value, json};

use self::comments::Comments;
use self::types::Types;
use crate::error::SchemaError;

/// What a document is about.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// Title of the document.
    pub title: &'a str,
    /// Version of what offers the services.
    pub version: &'a str,
    /// Full names of the services.
    pub services: &'a [&'a str],
    /// Paths for the bytes of one field.
    pub uploads: &'a [UploadPath<'a>],
}

/// A path whose body is the value of a field of type `bytes`.
#[derive(Debug, Clone, Copy)]
pub struct UploadPath<'a> {
    /// The path.
    pub path: &'a str,
    /// Path of the method.
    pub method: &'a str,
    /// Names of the fields that lead to the bytes.
    pub field: &'a str,
}

impl Document<'_> {
    /// The document, from an encoded `google.protobuf.FileDescriptorSet` with comments.
    ///
    /// # Errors
    /// When the set cannot be decoded or lacks a type.
    pub fn write(&self, descriptors: &[u8]) -> Result<Value, SchemaError> {
        let files = FileDescriptorSet::decode(descriptors)?.file;
        let comments = Comments::of(&files);
        let mut types = Types::of(&files, &comments);
        let (mut paths, mut tags) = (Map::new(), Vec::new());
        for (name, methods) in self.services(&files) {
            tags.push(json!({ "name": name, "description": comments.text(&name) }));
            for method in methods {
                let path = format!("/{name}/{}", method.name());
                let operation = operation(&name, method, &comments, &mut types)?;
                for upload in self.uploads.iter().filter(|it| it.method == path) {
                    let uploading = upload_operation(upload, &name, method, &mut types)?;
                    paths.insert(upload.path.to_owned(), json!({ "post": uploading }));
                }
                paths.insert(path, json!({ "post": operation }));
            }
        }
        Ok(json!({
            "openapi": "3.1.0",
            "info": { "title": self.title, "version": self.version, "description": ABOUT },
            "servers": [{ "url": "/" }],
            "security": [{}, { "bearer": [] }],
            "tags": tags,
            "paths": paths,
            "components": {
                "schemas": types.into_schemas(),
                "parameters": { "timeout": timeout() },
                "responses": { "error": error() },
                "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            },
        }))
    }

    /// The methods of the services, by the service's full name.
    fn services<'f>(
        &self,
        files: &'f [FileDescriptorProto],
    ) -> impl Iterator<Item = (String, &'f [MethodDescriptorProto])> {
        let services = files.iter().flat_map(|file| {
            let package = file.package();
            let services = file.service.iter();
            services.map(move |it| (format!("{package}.{}", it.name()), &*it.method))
        });
        services.filter(|(name, _)| self.services.contains(&name.as_str()))
    }
}

const ABOUT: &str = "Every method is a POST with JSON: the unary calls of the Connect protocol \
    (https://connectrpc.com/docs/protocol), with protobuf's JSON mapping. The same methods are offered \
    over gRPC and gRPC-Web. Where the port requires a token, send it as bearer token.";
const FRAMES: &str = "Messages of the Connect protocol's streams, each after a byte of flags and four \
    bytes of its length. Each message is of the type ";

fn operation(
    service: &str,
    method: &MethodDescriptorProto,
    comments: &Comments,
    types: &mut Types<'_>,
) -> Result<Value, SchemaError> {
    let streams = method.client_streaming() || method.server_streaming();
    let mut content = |name: &str| -> Result<Value, SchemaError> {
        let schema = types.reference(name)?;
        Ok(if streams {
            let about = format!("{FRAMES}{}.", name.trim_start_matches('.'));
            json!({ "application/connect+json": { "schema": { "description": about } } })
        } else {
            json!({ "application/json": { "schema": schema } })
        })
    };
    let request = content(method.input_type())?;
    let response = content(method.output_type())?;
    let text = comments.text(&format!("{service}.{}", method.name()));
    Ok(json!({
        "operationId": operation_id(service, method.name()),
        "tags": [service],
        "summary": summary(&text),
        "description": text,
        "parameters": [{ "$ref": "#/components/parameters/timeout" }],
        "requestBody": { "required": true, "content": request },
        "responses": {
            "200": { "description": comments.text(method.output_type()), "content": response },
            "default": { "$ref": "#/components/responses/error" },
        },
    }))
}

fn upload_operation(
    upload: &UploadPath<'_>,
    service: &str,
    method: &MethodDescriptorProto,
    types: &mut Types<'_>,
) -> Result<Value, SchemaError> {
    let mut parameters = types.parameters(method.input_type())?;
    parameters.push(json!({ "$ref": "#/components/parameters/timeout" }));
    let about = format!(
        "{} with the body as {}, and other fields in the query.",
        method.name(),
        upload.field
    );
    let response = types.reference(method.output_type())?;
    let id = format!("{}Upload", operation_id(service, method.name()));
    Ok(json!({
        "operationId": id,
        "tags": [service],
        "summary": about,
        "parameters": parameters,
        "requestBody": { "required": true, "content": {
            "application/octet-stream": { "schema": {} },
            "image/*": { "schema": {} },
            "application/json": { "schema": types.reference(method.input_type())? },
        } },
        "responses": {
            "200": { "description": "What was found.", "content": {
                "application/json": { "schema": response },
                "text/plain": { "schema": { "type": "string" } },
            } },
            "default": { "$ref": "#/components/responses/error" },
        },
    }))
}

fn operation_id(service: &str, method: &str) -> String {
    let service = service.rsplit('.').next().unwrap_or_default();
    format!("{service}_{method}")
}

/// The first sentence.
fn summary(text: &str) -> &str {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let end = paragraph.find(". ").or_else(|| paragraph.find(".\n"));
    end.map_or(paragraph, |end| &paragraph[..=end])
}

fn timeout() -> Value {
    json!({
        "name": "Connect-Timeout-Ms",
        "in": "header",
        "description": "Deadline of the call, in milliseconds.",
        "schema": { "type": "integer", "minimum": 0, "maximum": 9_999_999_999_u64 },
    })
}

fn error() -> Value {
    let code = json!({
        "type": "string",
        "enum": [
            "canceled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists",
            "permission_denied", "resource_exhausted", "failed_precondition", "aborted", "out_of_range",
            "unimplemented", "internal", "unavailable", "data_loss", "unauthenticated",
        ],
    });
    let detail = json!({
        "type": "object",
        "properties": {
            "type": { "type": "string", "description": "Full name of the message, such as google.rpc.BadRequest." },
            "value": { "type": "string", "contentEncoding": "base64", "description": "The encoded message." },
            "debug": { "description": "The message as JSON." },
        },
        "required": ["type", "value"],
    });
    let schema = json!({
        "type": "object",
        "properties": {
            "code": code,
            "message": { "type": "string" },
            "details": { "type": "array", "items": detail },
        },
        "required": ["code"],
    });
    json!({ "description": "An error.", "content": { "application/json": { "schema": schema } } })
}
