//! Decodes PNG row by row; an interlaced one as a whole.

use crate::{
    builder::PictureBuilder,
    limits::{DecodeError, Limits},
    raster::Picture,
};
use image::metadata::Orientation;
use png::{BitDepth, ColorType, Decoder, DecodingError, Reader, Transformations};
use std::io::Cursor;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Memory of the decoder: in any case, and rows of the picture.
const FIXED: u64 = 1 << 20;
const ROWS: u64 = 8;

/// A PNG whose header was read.
pub struct Png<'a> {
    encoded: &'a [u8],
    width: u32,
    height: u32,
    /// Bytes of a pixel at most, once it is decoded.
    pixel: u64,
    is_interlaced: bool,
}

impl<'a> Png<'a> {
    /// Reads the header and checks the size in it; `None` if it is no PNG.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Damaged`] without a header, and those of [`Limits`].
    pub fn open(encoded: &'a [u8], limits: Limits) -> Option<Result<Self, DecodeError>> {
        let file = encoded.strip_prefix(SIGNATURE)?;
        let header = file.get(4..).and_then(|rest| rest.strip_prefix(b"IHDR"));
        Some(match header.and_then(|header| header.first_chunk::<13>()) {
            Some(&[w3, w2, w1, w0, h3, h2, h1, h0, depth, _, _, _, interlace]) => {
                let (width, height) = (
                    u32::from_be_bytes([w3, w2, w1, w0]),
                    u32::from_be_bytes([h3, h2, h1, h0]),
                );
                limits.check(width, height).map(|()| Self {
                    encoded,
                    width,
                    height,
                    pixel: if depth == 16 { 8 } else { 4 },
                    is_interlaced: interlace != 0,
                })
            }
            None => Err(DecodeError::Damaged),
        })
    }

    /// Columns and rows, as they are stored.
    pub fn size(&self) -> (usize, usize) {
        (self.width as usize, self.height as usize)
    }

    /// Memory that decoding takes, in bytes.
    pub fn memory(&self) -> u64 {
        let rows = if self.is_interlaced {
            ROWS + u64::from(self.height)
        } else {
            ROWS
        };
        FIXED + u64::from(self.width) * self.pixel * rows
    }

    /// Decodes it, reduced to a longest side of `side`, and turns it upright.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Damaged`] if it is cut off or a checksum is wrong.
    pub fn decode(&self, side: usize) -> Result<Picture, DecodeError> {
        self.read(side).map_err(|_| DecodeError::Damaged)
    }

    fn read(&self, side: usize) -> Result<Picture, DecodingError> {
        let mut decoder = Decoder::new(Cursor::new(self.encoded));
        decoder.set_limits(png::Limits {
            bytes: usize::try_from(self.memory()).unwrap_or(usize::MAX),
        });
        decoder.set_transformations(Transformations::EXPAND);
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        let mut reader = decoder.read_info()?;
        let (colours, depth) = reader.output_color_type();
        let channels = match colours {
            ColorType::Grayscale => 1,
            ColorType::GrayscaleAlpha => 2,
            ColorType::Rgb | ColorType::Indexed => 3,
            ColorType::Rgba => 4,
        };
        let mut rows = Rows {
            builder: PictureBuilder::new(self.size(), channels, side),
            is_deep: depth == BitDepth::Sixteen,
            narrow: Vec::new(),
        };
        rows.builder.origin.had_16_bits = rows.is_deep;
        let exif = reader.info().exif_metadata.clone();
        let orientation = exif.and_then(|exif| Orientation::from_exif_chunk(&exif));
        if self.is_interlaced {
            self.read_interlaced(&mut reader, &mut rows)?;
        } else {
            while let Some(row) = reader.next_row()? {
                rows.push(row.data());
            }
        }
        let picture = rows.builder.finish();
        Ok(picture.turned(orientation.unwrap_or(Orientation::NoTransforms)))
    }

    fn read_interlaced(
        &self,
        reader: &mut Reader<Cursor<&[u8]>>,
        rows: &mut Rows,
    ) -> Result<(), DecodingError> {
        let size = reader
            .output_buffer_size()
            .ok_or(DecodingError::LimitsExceeded)?;
        let mut whole = vec![0; size];
        let frame = reader.next_frame(&mut whole)?;
        whole
            .chunks_exact(frame.line_size)
            .take(self.height as usize)
            .for_each(|row| rows.push(row));
        Ok(())
    }
}

/// Rows of 8 or 16 bits a channel.
struct Rows {
    builder: PictureBuilder,
    is_deep: bool,
    narrow: Vec<u8>,
}

impl Rows {
    fn push(&mut self, row: &[u8]) {
        if self.is_deep {
            let values = row.as_chunks::<2>().0.iter();
            let narrow =
                values.map(|&value| ((u32::from(u16::from_be_bytes(value)) + 128) / 257) as u8);
            self.narrow.clear();
            self.narrow.extend(narrow);
            self.builder.push(&self.narrow);
        } else {
            self.builder.push(row);
        }
    }
}
