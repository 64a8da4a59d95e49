//! Decodes JPEG with libjpeg-turbo, at a reduced scale where the picture is large.
//!
//! libjpeg-turbo fills what a damaged file does not deliver with grey and reports a warning. Here
//! each warning about the data is an error: a picture is decoded whole or refused. Errors leave the
//! library as panics, which its frames are compiled for (`C-unwind`), and are caught here.

use crate::{
    builder::PictureBuilder,
    limits::{DecodeError, Limits},
    raster::Picture,
    segments::{self, Outline, Structure},
};
use image::metadata::Orientation;
use mozjpeg::{ColorSpace, Decompress};
use mozjpeg_sys as ffi;
use std::{
    borrow::Cow,
    io::Read as _,
    panic::{catch_unwind, resume_unwind},
};

/// Memory of the decoder: in any case, and rows of samples, for each component.
const FIXED: u64 = 512 << 10;
const ROWS: usize = 64;
/// The end marker, which some writers leave out.
const END: &[u8] = &[0xff, 0xd9];
/// Stray bytes that may precede the end marker: webcams and phones leave some there.
const STRAY_BYTES: u32 = 16;

/// Whether a file begins as a JPEG does; fill bytes may precede the first marker.
#[must_use]
pub fn start(encoded: &[u8]) -> Option<&[u8]> {
    let marker = encoded.iter().position(|&byte| byte != 0xff)?;
    let start = marker.checked_sub(1)?;
    let jpeg = encoded.get(start..)?;
    jpeg.starts_with(&[0xff, 0xd8, 0xff]).then_some(jpeg)
}

/// A JPEG whose segments are as they should be.
pub struct Jpeg<'a> {
    encoded: Cow<'a, [u8]>,
    structure: Structure<'a>,
}

impl<'a> Jpeg<'a> {
    /// Checks a file that begins with its first marker, and its size.
    ///
    /// # Errors
    ///
    /// Those of [`segments::check`] and [`Limits`].
    pub fn open(encoded: &'a [u8], limits: Limits) -> Result<Self, DecodeError> {
        let structure = segments::check(encoded)?;
        let Outline { width, height, .. } = structure.outline;
        limits.check(u32::from(width), u32::from(height))?;
        if is_padded(&encoded[structure.data_at..]) {
            return Err(DecodeError::Damaged);
        }
        let mut encoded = Cow::Borrowed(encoded);
        if let Some(at) = structure.height_at {
            encoded.to_mut()[at..at + 2].copy_from_slice(&height.to_be_bytes());
        }
        Ok(Self { encoded, structure })
    }

    /// Its size, and what decides about the memory that it takes.
    pub fn outline(&self) -> &Outline {
        &self.structure.outline
    }

    /// Decodes it and turns it upright.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Damaged`] if not every block is delivered or the data is corrupt.
    pub fn decode(&self, side: usize) -> Result<Picture, DecodeError> {
        let size = self.outline().size();
        let scale = scale(size.0.max(size.1), side);
        let decoded = catch_unwind(|| read(&self.encoded, scale, size, side));
        let picture = decoded.unwrap_or_else(|payload| match payload.downcast::<Failure>() {
            Ok(_) => Err(DecodeError::Damaged),
            // Not from libjpeg-turbo: a bug.
            Err(payload) => resume_unwind(payload),
        })?;
        let orientation = self.structure.exif.and_then(Orientation::from_exif_chunk);
        Ok(picture.turned(orientation.unwrap_or(Orientation::NoTransforms)))
    }
}

impl Outline {
    /// Columns and rows, as they are stored.
    pub fn size(&self) -> (usize, usize) {
        (usize::from(self.width), usize::from(self.height))
    }

    /// Memory that decoding to a longest side of `side` takes, in bytes: rows of blocks, and all
    /// coefficients where scans have to be collected.
    pub fn memory(&self, side: usize) -> u64 {
        let (width, height) = self.size();
        let columns = (width * usize::from(scale(width.max(height), side))).div_ceil(8);
        let rows = (columns * self.components * ROWS) as u64;
        FIXED + rows + self.collected.unwrap_or(0)
    }
}

/// Whether zeroes stand where the data and its end marker should: a download that was interrupted
/// after its space was allocated. Zeroes can be decoded, so the decoder would not notice.
fn is_padded(data: &[u8]) -> bool {
    data.ends_with(&[0, 0]) && !data.windows(END.len()).any(|bytes| bytes == END)
}

/// Eighths at which a picture is decoded: the fewest that leave its longest side long enough.
fn scale(longest: usize, side: usize) -> u8 {
    let enough = |scale: &u8| (longest * usize::from(*scale)).div_ceil(8) >= side;
    [1, 2, 4].into_iter().find(enough).unwrap_or(8)
}

/// Decodes the rows at a scale and reduces them to a longest side of `side`.
fn read(
    encoded: &[u8],
    scale: u8,
    size: (usize, usize),
    side: usize,
) -> Result<Picture, DecodeError> {
    let damaged = |_| DecodeError::Damaged;
    let source = encoded.chain(END);
    let mut file = Decompress::with_err(strict())
        .from_reader(source)
        .map_err(damaged)?;
    file.scale(scale);
    let colours = match file.color_space() {
        ColorSpace::JCS_GRAYSCALE => ColorSpace::JCS_GRAYSCALE,
        ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK => ColorSpace::JCS_CMYK,
        ColorSpace::JCS_YCbCr | ColorSpace::JCS_RGB => ColorSpace::JCS_RGB,
        _ => {
            return Err(DecodeError::Unsupported {
                format: "a JPEG with an unusual number of channels",
                remedy: "save it in grey or in colour",
            });
        }
    };
    let (channels, delivered) = match colours {
        ColorSpace::JCS_GRAYSCALE => (1, 1),
        ColorSpace::JCS_CMYK => (3, 4),
        _ => (3, 3),
    };
    let mut file = file.to_colorspace(colours).map_err(damaged)?;
    let scaled = (file.width(), file.height());
    let mut builder = PictureBuilder::new(scaled, channels, side).of_size(size);
    let mut row = vec![0_u8; scaled.0 * delivered];
    for _ in 0..scaled.1 {
        file.read_scanlines_into(&mut row).map_err(damaged)?;
        if delivered == channels {
            builder.push(&row);
        } else {
            builder.push(&rgb(&row));
        }
    }
    // Reads up to the end marker: what is left then was no block's.
    file.finish().map_err(damaged)?;
    Ok(builder.finish())
}

/// RGB of CMYK as it is stored in JPEG: the light that each ink leaves, not the ink.
fn rgb(cmyk: &[u8]) -> Vec<u8> {
    let times = |colour: u8, black: u8| ((u16::from(colour) * u16::from(black) + 127) / 255) as u8;
    let pixels = cmyk.as_chunks::<4>().0.iter();
    pixels
        .flat_map(|&[c, m, y, k]| [times(c, k), times(m, k), times(y, k)])
        .collect()
}

/// A message of libjpeg-turbo ended the decoding.
struct Failure;

/// libjpeg-turbo's error handler, with warnings about the data as errors, and silent.
#[allow(unsafe_code)] // See the SAFETY comment.
fn strict() -> ffi::jpeg_error_mgr {
    // SAFETY: the C struct holds numbers, function pointers as Option, and pointers that may be
    // null, so zeroes are a valid value; the library then fills it.
    let mut manager = unsafe {
        let mut manager = std::mem::zeroed();
        ffi::jpeg_std_error(&mut manager);
        manager
    };
    manager.error_exit = Some(fail);
    manager.emit_message = Some(fail_on_warning);
    manager
}

extern "C-unwind" fn fail(_: &mut ffi::jpeg_common_struct) {
    // Unlike panic!, this reports nothing to the process's panic hook.
    resume_unwind(Box::new(Failure));
}

/// Levels below zero are warnings, others are traces. The warnings that are left out are about
/// headers that are read all the same, and about a few bytes before the end marker.
extern "C-unwind" fn fail_on_warning(library: &mut ffi::jpeg_common_struct, level: i32) {
    let harmless = match message(library) {
        (ffi::JWRN_ADOBE_XFORM | ffi::JWRN_JFIF_MAJOR | ffi::JWRN_NOT_SEQUENTIAL, _) => true,
        (ffi::JWRN_EXTRANEOUS_DATA, [bytes, marker]) => {
            marker == u32::from(END[1]) && bytes <= STRAY_BYTES
        }
        _ => false,
    };
    if level < 0 && !harmless {
        fail(library);
    }
}

/// The code of the last message, and the numbers in it.
#[allow(unsafe_code)] // See the SAFETY comment.
fn message(library: &ffi::jpeg_common_struct) -> (ffi::J_MESSAGE_CODE, [u32; 2]) {
    // SAFETY: the library calls with the error manager that it was given, which `Decompress` keeps
    // in a box of its own for as long as the library's struct lives.
    let manager = unsafe { &*library.err };
    let [first, second, ..] = manager.msg_parm._bindgen_data_;
    (manager.msg_code, [first, second])
}
