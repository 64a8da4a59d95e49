//! Images and their labels, whose pixels are in memory or mapped from a file.

use crate::{DatasetError, PixelBuffer, PixelStore};
use bytes::Bytes;

/// Grey images of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Number of images.
    pub count: usize,
    /// Rows of each.
    pub height: usize,
    /// Columns of each.
    pub width: usize,
    /// `[count, height * width]`, row-major; in MNIST 0 is background and 255 ink.
    pub pixels: Bytes,
}

impl Images {
    /// Pixels of one image.
    #[must_use]
    pub fn image_size(&self) -> usize {
        self.height * self.width
    }

    /// The pixels of image `index`, row by row; `None` beyond the end.
    #[must_use]
    pub fn image(&self, index: usize) -> Option<&[u8]> {
        let start = index.checked_mul(self.image_size())?;
        self.pixels
            .get(start..start.checked_add(self.image_size())?)
    }

    /// The images with rows and columns exchanged.
    ///
    /// # Errors
    ///
    /// As [`PixelBuffer::push`].
    pub fn transposed(&self, store: PixelStore) -> Result<Self, DatasetError> {
        let (height, width) = (self.height, self.width);
        let mut pixels = PixelBuffer::with_room(store, self.pixels.len());
        let mut turned = Vec::with_capacity(height * width);
        for image in self.pixels.chunks_exact((height * width).max(1)) {
            turned.clear();
            for column in 0..width {
                turned.extend(image.iter().skip(column).step_by(width));
            }
            pixels.push(&turned)?;
        }
        Ok(Self {
            count: self.count,
            height: width,
            width: height,
            pixels: pixels.finish()?,
        })
    }

    /// The images with light pixels dark and dark ones light.
    ///
    /// # Errors
    ///
    /// As [`PixelBuffer::push`].
    pub fn inverted(&self, store: PixelStore) -> Result<Self, DatasetError> {
        let mut pixels = PixelBuffer::with_room(store, self.pixels.len());
        for piece in self.pixels.chunks(1 << 16) {
            let inverted: Vec<u8> = piece.iter().map(|pixel| !pixel).collect();
            pixels.push(&inverted)?;
        }
        Ok(Self {
            pixels: pixels.finish()?,
            ..*self
        })
    }
}

/// Images and the label of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledImages {
    /// The images.
    pub images: Images,
    /// `[images.count]`: indices into [`Dataset::label_names`](crate::Dataset::label_names).
    pub labels: Vec<u16>,
}

impl LabelledImages {
    /// Number of images of each label; `classes` entries.
    #[must_use]
    pub fn class_counts(&self, classes: usize) -> Vec<u64> {
        let mut counts = vec![0; classes];
        for &label in &self.labels {
            if let Some(count) = counts.get_mut(usize::from(label)) {
                *count += 1;
            }
        }
        counts
    }
}
