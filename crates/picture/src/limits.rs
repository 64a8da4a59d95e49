//! Limits of a picture, and the errors of pictures that are refused. The messages are for clients.

/// Longest side of a picture: the maximum of JPEG.
pub(crate) const MAX_SIDE: u32 = 65_535;

/// Limits of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of pixels.
    pub max_pixels: u64,
    /// Maximum memory for decoding and normalizing it, in bytes.
    pub max_memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pixels: 65_000_000,
            max_memory: 256 << 20,
        }
    }
}

impl Limits {
    /// Checks what decoding takes, in bytes.
    pub(crate) fn check_memory(self, bytes: u64) -> Result<(), DecodeError> {
        let limit = self.max_memory;
        if bytes > limit {
            return Err(DecodeError::TooMuchMemory { limit });
        }
        Ok(())
    }

    /// Checks a size, as the header of a picture gives it.
    pub(crate) fn check(self, width: u32, height: u32) -> Result<(), DecodeError> {
        if width == 0 || height == 0 {
            return Err(DecodeError::Damaged);
        }
        let limit = self.max_pixels;
        if u64::from(width) * u64::from(height) > limit || width > MAX_SIDE || height > MAX_SIDE {
            return Err(DecodeError::TooLarge {
                width,
                height,
                limit,
            });
        }
        Ok(())
    }
}

/// Errors of decoding a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No bytes.
    #[error("the picture is empty")]
    Empty,
    /// An unknown format.
    #[error("not a picture in a known format: send PNG, JPEG, WebP, BMP or GIF")]
    Format,
    /// A format that is recognized and not supported.
    #[error("the picture is {format}, which is not supported: {remedy}")]
    Unsupported {
        /// The format, with an article where English wants one.
        format: &'static str,
        /// What to do instead.
        remedy: &'static str,
    },
    /// More pixels than the limit, by the header.
    #[error(
        "the picture has {width} x {height} pixels, more than the limit of {limit}: send a smaller one"
    )]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Maximum number of pixels.
        limit: u64,
    },
    /// The decoder would need more memory than the limit allows.
    #[error(
        "the picture needs more memory than the {limit} bytes that one may take: send a smaller one, or a JPEG that is \
         not progressive"
    )]
    TooMuchMemory {
        /// Maximum number of bytes.
        limit: u64,
    },
    /// A known format with invalid content.
    #[error("the picture is truncated or damaged")]
    Damaged,
}
