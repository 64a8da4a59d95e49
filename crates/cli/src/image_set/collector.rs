//! Collects the grey images of a data set, all of one size.

use super::{
    Size,
    picture::{Conversions, Picture},
};
use crate::Error;
use digits_dataset::{Images, LabelledImages, PixelBuffer, PixelStore, idx};
use std::{fmt::Display, mem};

/// The images of one part after the other.
pub struct Collector {
    /// The size of all images; with the image that has it, unless the user gave it.
    size: Option<(Size, Option<String>)>,
    scale: bool,
    conversions: Conversions,
    pixels: PixelBuffer,
}

impl Collector {
    /// Scales images to `size` if one is given, else they must have one size.
    #[must_use]
    pub fn new(size: Option<Size>) -> Self {
        Self {
            size: size.map(|size| (size, None)),
            scale: size.is_some(),
            conversions: Conversions::default(),
            pixels: PixelBuffer::new(PixelStore::TemporaryFile),
        }
    }

    /// Adds a picture in any format that the inference service reads; `name` is for errors.
    ///
    /// # Errors
    /// [`Error::Input`] when it cannot be decoded, has another size, or is one too many.
    pub fn encoded(&mut self, name: &dyn Display, bytes: &[u8]) -> Result<(), Error> {
        let picture = Picture::decode(bytes).map_err(|error| {
            let reason = format!(
                "cannot be read as a picture ({error}): replace or remove it; PNG, JPEG, WebP, BMP and GIF are read"
            );
            Error::input(name.to_string(), reason)
        })?;
        self.picture(name, picture)
    }

    /// Adds a picture.
    ///
    /// # Errors
    /// [`Error::Input`] when it has another size, or is one too many.
    pub fn picture(&mut self, name: &dyn Display, picture: Picture) -> Result<(), Error> {
        let actual = picture.size();
        let (size, like) = self
            .size
            .get_or_insert_with(|| (actual, Some(name.to_string())));
        let size = *size;
        if size != actual && !self.scale {
            let like = like.as_deref().unwrap_or_default();
            return Err(Error::input(
                name.to_string(),
                format!(
                    "is {}x{} pixels, and {like} is {}x{}: make them one size, or have all scaled with --size, such as \
                     --size 28x28",
                    actual.height, actual.width, size.height, size.width
                ),
            ));
        }
        let pixels = self.conversions.take(picture, size);
        self.pixels
            .push(&pixels)
            .map_err(|error| Error::input(name.to_string(), error))?;
        if self.pixels.len() > idx::MAX_CONTENT_BYTES {
            return Err(Error::input(
                name.to_string(),
                format!(
                    "up to this picture there are {} pixels, above the limit of {}: use fewer or smaller pictures",
                    self.pixels.len(),
                    idx::MAX_CONTENT_BYTES
                ),
            ));
        }
        Ok(())
    }

    /// Ends a part, whose images have these labels.
    ///
    /// # Errors
    /// [`Error::Input`] of a temporary file.
    pub fn part(&mut self, labels: Vec<u16>) -> Result<LabelledImages, Error> {
        let (height, width) = self
            .size
            .as_ref()
            .map_or((1, 1), |(size, _)| (size.height, size.width));
        let pixels = mem::replace(
            &mut self.pixels,
            PixelBuffer::new(PixelStore::TemporaryFile),
        )
        .finish()
        .map_err(|error| Error::input("data set", error))?;
        Ok(LabelledImages {
            images: Images {
                count: pixels.len() / (height * width),
                height,
                width,
                pixels,
            },
            labels,
        })
    }

    /// A sentence about each kind of conversion.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.conversions.notes()
    }
}
