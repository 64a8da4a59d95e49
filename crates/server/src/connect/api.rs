//! What a port offers over the Connect protocol, and its description: an OpenAPI document at
//! `/openapi.json`, and a page to read it at `/api`.

use axum::Router;
use bytes::Bytes;
use digits_transcode::Schema;
use digits_transcode::openapi::{Document, UploadPath};

use super::Upload;
use crate::error::ServerError;
use crate::page::{self, File, Kind};

/// Services that every server has besides its own.
const COMMON: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

const PAGE: [File; 3] = [
    File::new("/api", Kind::Html, include_bytes!("../page/api/index.html")),
    File::new(
        "/page/api.css",
        Kind::Style,
        include_bytes!("../page/api/api.css"),
    ),
    File::new(
        "/page/api.js",
        Kind::Script,
        include_bytes!("../page/api/api.js"),
    ),
];

/// The methods of services, by their descriptors.
#[derive(Debug)]
pub struct Api {
    pub(super) schema: Schema,
    pub(super) uploads: Vec<Upload>,
    descriptors: Bytes,
    services: Vec<&'static str>,
    title: &'static str,
    version: &'static str,
}

impl Api {
    /// The methods of `services` (full names), of health and of reflection. `descriptors` is an
    /// encoded `google.protobuf.FileDescriptorSet`, whose comments are the documentation of the
    /// program `title` in this version.
    ///
    /// # Errors
    /// When the set cannot be decoded, or has a type without a JSON form.
    pub fn new(
        descriptors: impl Into<Bytes>,
        services: &[&'static str],
        (title, version): (&'static str, &'static str),
    ) -> Result<Self, ServerError> {
        let descriptors = descriptors.into();
        let sets = [
            &*descriptors,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
            // The details of errors.
            tonic_types::pb::FILE_DESCRIPTOR_SET,
        ];
        let all: Vec<_> = services.iter().copied().chain(COMMON).collect();
        Ok(Self {
            schema: Schema::new(sets, &all)?,
            uploads: Vec::new(),
            services: services.to_vec(),
            descriptors,
            title,
            version,
        })
    }

    /// Adds a path for the bytes of one field.
    #[must_use]
    pub fn with_upload(mut self, upload: Upload) -> Self {
        self.uploads.push(upload);
        self
    }

    /// The OpenAPI document, which is written when it is first read, and its page.
    pub(crate) fn pages(&self) -> Router {
        let (descriptors, services) = (self.descriptors.clone(), self.services.clone());
        let (title, version) = (self.title, self.version);
        let uploads = self.uploads.clone();
        let write = move || {
            let uploads: Vec<_> = uploads.iter().map(Upload::documented).collect();
            let document = Document {
                title,
                version,
                services: &services,
                uploads: &uploads,
            };
            let written = document.write(&descriptors);
            // The schema was made of the same descriptors.
            let written = written.expect("descriptors that are complete");
            Bytes::from(written.to_string())
        };
        page::router(PAGE).merge(page::made_when_read("/openapi.json", Kind::Json, write))
    }
}

impl Upload {
    fn documented(&self) -> UploadPath<'static> {
        UploadPath {
            path: self.path,
            method: self.method,
            field: self.field,
        }
    }
}
