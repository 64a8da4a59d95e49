//! Images to classify, read from files, standard input and labelled sets.

use crate::image_source::{self, Labelled, Source};
use digits_cli::Error;
use digits_proto::v1::{EncodedPictures, predict_request::Images};
use std::collections::HashMap;

/// An image to classify, and what is known of it.
pub struct Query {
    /// The image, as the request carries it.
    pub images: Images,
    /// Index and name of the true label, where it is known.
    pub truth: Option<(u16, String)>,
    /// Pixels that are drawn if the response has no network input.
    pub pixels: Vec<u8>,
    /// Height and width of the pixels; unknown for a file, whose network input has the model's
    /// size.
    pub size: Option<(usize, usize)>,
}

/// Reads images; labelled sets are loaded once.
pub struct Reader<'a> {
    storage: Option<&'a str>,
    sets: HashMap<String, Labelled>,
    stdin_was_read: bool,
}

impl<'a> Reader<'a> {
    /// Reads pushed data sets from `storage`.
    pub fn new(storage: Option<&'a str>) -> Self {
        Self {
            storage,
            sets: HashMap::new(),
            stdin_was_read: false,
        }
    }

    /// The image that an argument names.
    pub async fn read(&mut self, name: &str) -> Result<Query, Error> {
        match image_source::parse(name)? {
            Source::Encoded(path) => self.encoded(path).await,
            Source::Labelled { set, index } => self.labelled(set, index).await,
        }
    }

    async fn encoded(&mut self, path: &str) -> Result<Query, Error> {
        if path == "-" && std::mem::replace(&mut self.stdin_was_read, true) {
            let reason = "was read already: give `-` once";
            return Err(Error::input("standard input", reason));
        }
        let owned = path.to_owned();
        let read = tokio::task::spawn_blocking(move || image_source::read_picture(&owned)).await;
        let bytes = read.unwrap_or_else(|error| Err(Error::input(path, error)))?;
        let encoded = vec![bytes.into()];
        Ok(Query {
            images: Images::Pictures(EncodedPictures { encoded }),
            truth: None,
            pixels: Vec::new(),
            size: None,
        })
    }

    async fn labelled(&mut self, set: &str, index: usize) -> Result<Query, Error> {
        if !self.sets.contains_key(set) {
            let loaded = image_source::load(set, self.storage).await?;
            self.sets.insert(set.to_owned(), loaded);
        }
        let labelled = &self.sets[set];
        let images = &labelled.set.images;
        let found = images.image(index).zip(labelled.set.labels.get(index));
        let (pixels, &label) = found.ok_or_else(|| {
            let last = images.count.saturating_sub(1);
            Error::Usage(format!(
                "{set}/{index} is not there: the last one is {set}/{last}"
            ))
        })?;
        let name = labelled.names.get(usize::from(label)).cloned();
        Ok(Query {
            images: Images::Pixels(bytes::Bytes::copy_from_slice(pixels)),
            truth: Some((label, name.unwrap_or_else(|| label.to_string()))),
            pixels: pixels.to_vec(),
            size: Some((images.height, images.width)),
        })
    }
}
