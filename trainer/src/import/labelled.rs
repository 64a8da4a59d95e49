//! Finds the data sets on whose test images an imported network can be measured.

use super::error::ImportError;
use crate::{
    datasets::{Catalog, DatasetEntry, DatasetSource, UnusableDataset},
    spec::{self, request::DataRequest},
    wire::SpecMessage,
};
use digits_checkpoint::{
    manifest::{Lineage, Manifest},
    messages::trained_spec,
};
use digits_dataset::{Dataset, mnist, pushed::Pinned};
use std::sync::Arc;

/// Largest data set that is loaded to measure an import where nobody named it. MNIST has 55 MB.
const MAX_GUESSED_BYTES: u64 = 128 << 20;
/// Data sets of one shape that are tried.
const MAX_TRIED: usize = 6;
/// Data sets that are looked at.
const MAX_LISTED: usize = 1_000;

/// What images and labels of a data set must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) classes: usize,
    /// Names of the classes, where the client gave any.
    pub(super) labels: &'a [String],
}

impl Wanted<'_> {
    fn fits(&self, height: usize, width: usize, labels: &[String]) -> bool {
        (height, width, labels.len()) == (self.height, self.width, self.classes)
    }
}

/// The data sets to measure a network on, all of its shape: the one that is named; else the one
/// that what is served was trained on; else all that fit, those with the client's labels if there
/// are any. Blocks on the storage and never downloads MNIST.
///
/// # Errors
/// A named data set is unknown, has another shape or cannot be loaded.
pub(super) fn find(
    catalog: &Catalog,
    wanted: Wanted<'_>,
    named: Option<&str>,
    served: Option<&Manifest>,
) -> Result<Vec<Arc<Dataset>>, ImportError> {
    if let Some(name) = named {
        return self::named(catalog, wanted, name).map(|found| vec![found]);
    }
    let of_served = served.and_then(|it| of_lineage(catalog, &it.lineage));
    if let Some(data) = of_served
        && wanted.fits(data.height(), data.width(), &data.label_names)
    {
        return Ok(vec![data]);
    }
    let listed = catalog.list(None, MAX_LISTED).unwrap_or_else(|error| {
        tracing::warn!(%error, "an import is measured on no pushed data set: they cannot be listed");
        Vec::new()
    });
    let mut sources: Vec<(DatasetSource, Vec<String>)> = listed
        .into_iter()
        .filter_map(|entry| fitting(entry, wanted))
        .collect();
    if sources.iter().any(|(_, labels)| labels == wanted.labels) {
        sources.retain(|(_, labels)| labels == wanted.labels);
    }
    let mut found: Vec<Arc<Dataset>> = Vec::new();
    for (source, _) in sources.iter().take(MAX_TRIED) {
        // The same content may have several names.
        if let Some(data) = load(catalog, source)
            && !found.iter().any(|it| it.digest == data.digest)
        {
            found.push(data);
        }
    }
    Ok(found)
}

fn named(catalog: &Catalog, wanted: Wanted<'_>, name: &str) -> Result<Arc<Dataset>, ImportError> {
    const FIELD: &str = "header.dataset";
    let unusable = |error: UnusableDataset| match error {
        UnusableDataset::Refused(reason) => ImportError::invalid(FIELD, reason),
        UnusableDataset::Unavailable => {
            ImportError::invalid(FIELD, "its storage cannot be read at the moment")
        }
    };
    let source = source(catalog, name).map_err(unusable)?;
    let shape = catalog.shape(&source).map_err(unusable)?;
    if !wanted.fits(shape.height, shape.width, &shape.label_names) {
        return Err(ImportError::invalid(
            FIELD,
            format!(
                "has images of {}×{} and {} labels; the network takes {}×{} and has {} classes",
                shape.height,
                shape.width,
                shape.label_names.len(),
                wanted.height,
                wanted.width,
                wanted.classes
            ),
        ));
    }
    load(catalog, &source)
        .ok_or_else(|| ImportError::invalid(FIELD, "is not on this machine or cannot be loaded"))
}

fn source(catalog: &Catalog, name: &str) -> Result<DatasetSource, UnusableDataset> {
    Ok(match catalog.pin(name)? {
        Some(pinned) => DatasetSource::Pushed(pinned),
        None => spec::dataset_source(&DataRequest {
            dataset: Some(name.to_owned()),
            ..DataRequest::default()
        }),
    })
}

/// The data set in a lineage, if its content is still the same.
fn of_lineage(catalog: &Catalog, lineage: &Lineage) -> Option<Arc<Dataset>> {
    let source = match trained_spec(lineage).ok()? {
        Some(spec) => spec::dataset_source(&SpecMessage::from(spec).request().data),
        None if lineage.dataset.is_empty() => return None,
        // An import that was measured.
        None => source(catalog, &lineage.dataset).ok()?,
    };
    load(catalog, &source).filter(|data| data.digest == lineage.dataset_digest)
}

/// A data set that nobody named, if it fits and is small. Generated digits measure no network that
/// was trained on handwritten ones.
fn fitting(entry: DatasetEntry, wanted: Wanted<'_>) -> Option<(DatasetSource, Vec<String>)> {
    match entry {
        DatasetEntry::Own {
            name,
            shape,
            content: Some(_),
            ..
        } => {
            let fits = wanted.fits(shape.height, shape.width, &shape.label_names);
            let source = match name == mnist::NAME {
                true => DatasetSource::Mnist,
                false => DatasetSource::Folder(name),
            };
            fits.then_some((source, shape.label_names))
        }
        DatasetEntry::Own { content: None, .. } => None,
        DatasetEntry::Pushed(set) => {
            let manifest = &set.manifest;
            let fits = wanted.fits(manifest.height, manifest.width, &manifest.labels);
            let source = DatasetSource::Pushed(Pinned {
                name: set.record.name.clone(),
                digest: set.record.digest.clone(),
                picture_normalization: set.record.picture_normalization,
            });
            let small = manifest.size_bytes() <= MAX_GUESSED_BYTES;
            (fits && small && !set.superseded).then(|| (source, manifest.labels.clone()))
        }
    }
}

fn load(catalog: &Catalog, source: &DatasetSource) -> Option<Arc<Dataset>> {
    catalog.at_hand(source).unwrap_or_else(|error| {
        let dataset = source.name();
        tracing::warn!(%error, dataset, "an import is not measured on a data set: it cannot be loaded");
        None
    })
}
