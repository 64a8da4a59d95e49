//! Checks the structure of a JPEG file before it is decoded: which frame it has, and whether its
//! scans announce every coefficient of every component. The entropy-coded data itself is left to
//! the decoder.
//!
//! ITU-T T.81, annexes B and G.

use crate::limits::DecodeError;

/// Scans of a file at most: some encoders write twenty; each costs a pass over all blocks.
const MAX_SCANS: usize = 100;
/// Pixels times scans at most.
const MAX_SCANNED_PIXELS: usize = 2_000_000_000;
/// Coefficients of a block.
const COEFFICIENTS: usize = 64;

const SOF0: u8 = 0xc0;
const SOF2: u8 = 0xc2;
const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DNL: u8 = 0xdc;
const APP1: u8 = 0xe1;

const PLAIN: &str = "save it as a baseline JPEG of 8 bits a channel or as PNG";

/// What decoding takes depends on this.
#[derive(Clone, Copy, Debug)]
pub struct Outline {
    /// Columns.
    pub width: u16,
    /// Rows; 0 if a segment behind the first scan has them.
    pub height: u16,
    /// Components of a pixel.
    pub components: usize,
    /// Bytes of the coefficients of the whole picture, if its scans have to be collected first.
    pub collected: Option<u64>,
}

/// The structure of a file that can be decoded.
#[derive(Debug)]
pub struct Structure<'a> {
    /// With the rows, wherever they were.
    pub outline: Outline,
    /// Where the frame header has the rows, if it left them to a later segment (DNL).
    pub height_at: Option<usize>,
    /// Contents of the EXIF segment.
    pub exif: Option<&'a [u8]>,
    /// Where the entropy-coded data of the first scan starts.
    pub data_at: usize,
}

/// The outline of a file that begins with SOI, by what stands before its first scan; `None` if it
/// cannot be decoded.
pub fn outline(bytes: &[u8]) -> Option<Outline> {
    let mut frame: Option<Frame> = None;
    for segment in (Segments { bytes, at: 2 }) {
        let Segment {
            marker,
            start,
            payload,
        } = segment.ok()?;
        match marker {
            SOI | EOI => return None,
            SOS => {
                let mut frame = frame?;
                frame.scan(payload).ok()?;
                return Some(frame.outline(frame.height));
            }
            _ if is_frame(marker) => frame = Some(Frame::read(marker, start, payload).ok()?),
            _ => {}
        }
    }
    None
}

/// Checks a file that begins with SOI.
///
/// # Errors
///
/// [`DecodeError::Damaged`] if segments or scans are missing, [`DecodeError::Unsupported`] for the
/// rarer kinds of JPEG.
pub fn check(bytes: &[u8]) -> Result<Structure<'_>, DecodeError> {
    let mut frame: Option<Frame> = None;
    let mut exif = None;
    let mut lines = None;
    let mut scans = 0;
    let mut data_at = 0;
    for segment in (Segments { bytes, at: 2 }) {
        let Segment {
            marker,
            start,
            payload,
        } = segment?;
        match marker {
            // A second picture before the end of the first.
            SOI => return Err(DecodeError::Damaged),
            EOI => break,
            APP1 if exif.is_none() => exif = payload.strip_prefix(b"Exif\0\0"),
            DNL => {
                lines = payload
                    .first_chunk()
                    .map(|&lines| u16::from_be_bytes(lines))
            }
            SOS => {
                scans += 1;
                if scans > MAX_SCANS {
                    return Err(unsupported("a JPEG with more than 100 scans"));
                }
                if scans == 1 {
                    data_at = start + payload.len();
                }
                let frame = frame.as_mut().ok_or(DecodeError::Damaged)?;
                if scans * frame.pixels() > MAX_SCANNED_PIXELS {
                    return Err(unsupported("a JPEG with too many scans for its size"));
                }
                frame.scan(payload)?;
                // The decoder stops here too, so most files need not be searched to their end.
                if !frame.progressive && frame.is_complete() && frame.height != 0 {
                    break;
                }
            }
            _ if is_frame(marker) => {
                if frame.is_some() {
                    return Err(DecodeError::Damaged);
                }
                frame = Some(Frame::read(marker, start, payload)?);
            }
            _ => {}
        }
    }
    let frame = frame
        .filter(Frame::is_complete)
        .ok_or(DecodeError::Damaged)?;
    let deferred = frame.height == 0;
    let height = if deferred {
        lines.unwrap_or(0)
    } else {
        frame.height
    };
    Ok(Structure {
        outline: frame.outline(height),
        height_at: deferred.then_some(frame.height_at),
        exif,
        data_at,
    })
}

/// SOF0 to SOF15 and JPEG-LS's SOF55, without DHT, JPG and DAC.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf | 0xf7) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

fn unsupported(format: &'static str) -> DecodeError {
    DecodeError::Unsupported {
        format,
        remedy: PLAIN,
    }
}

/// A frame header, and what its scans have delivered so far.
struct Frame {
    progressive: bool,
    width: u16,
    height: u16,
    height_at: usize,
    components: Vec<Component>,
    scans: usize,
    /// Whether the first scan has all components.
    starts_whole: bool,
}

struct Component {
    id: u8,
    /// Blocks of a minimum coded unit: across and down.
    sampling: (u64, u64),
    /// Coefficients that no scan has delivered to the last bit.
    missing: [bool; COEFFICIENTS],
}

impl Frame {
    fn read(marker: u8, start: usize, payload: &[u8]) -> Result<Self, DecodeError> {
        match marker {
            SOF0..=SOF2 => {}
            0xc3 | 0xf7 => return Err(unsupported("a lossless JPEG")),
            0xc5..=0xc7 => return Err(unsupported("a hierarchical JPEG")),
            _ => return Err(unsupported("a JPEG with arithmetic coding")),
        }
        let (&[precision, h1, h0, w1, w0, count], rest) =
            payload.split_first_chunk().ok_or(DecodeError::Damaged)?;
        match precision {
            8 => {}
            12 | 16 => return Err(unsupported("a JPEG of more than 8 bits a channel")),
            _ => return Err(DecodeError::Damaged),
        }
        let components = rest.as_chunks::<3>().0;
        if components.len() != usize::from(count) || components.is_empty() {
            return Err(DecodeError::Damaged);
        }
        let component = |&[id, sampling, _]: &[u8; 3]| Component {
            id,
            sampling: (u64::from(sampling >> 4), u64::from(sampling & 15)),
            missing: [true; COEFFICIENTS],
        };
        Ok(Self {
            progressive: marker == SOF2,
            width: u16::from_be_bytes([w1, w0]),
            height: u16::from_be_bytes([h1, h0]),
            height_at: start + 1,
            components: components.iter().map(component).collect(),
            scans: 0,
            starts_whole: false,
        })
    }

    /// Records what a scan delivers, by its header.
    fn scan(&mut self, header: &[u8]) -> Result<(), DecodeError> {
        let (&count, rest) = header.split_first().ok_or(DecodeError::Damaged)?;
        let (ids, rest) = rest
            .split_at_checked(2 * usize::from(count))
            .ok_or(DecodeError::Damaged)?;
        self.scans += 1;
        self.starts_whole |= self.scans == 1 && usize::from(count) == self.components.len();
        let &[first, last, bits] = rest.first_chunk().ok_or(DecodeError::Damaged)?;
        let (band, unfinished) = if self.progressive {
            (usize::from(first)..=usize::from(last), bits & 15 != 0)
        } else {
            (0..=COEFFICIENTS - 1, false)
        };
        for [id, _] in ids.as_chunks::<2>().0 {
            let components = self.components.iter_mut();
            for component in components.filter(|component| component.id == *id) {
                let band = component.missing.get_mut(band.clone());
                band.ok_or(DecodeError::Damaged)?.fill(unfinished);
            }
        }
        Ok(())
    }

    fn pixels(&self) -> usize {
        usize::from(self.width) * usize::from(self.height)
    }

    fn outline(&self, height: u16) -> Outline {
        let is_collected = self.progressive || !self.starts_whole;
        Outline {
            width: self.width,
            height,
            components: self.components.len(),
            collected: is_collected.then(|| self.coefficients(height)),
        }
    }

    /// Bytes of all coefficients, of 16 bits each.
    fn coefficients(&self, height: u16) -> u64 {
        let sampling = || self.components.iter().map(|component| component.sampling);
        let most = |of: fn((u64, u64)) -> u64| sampling().map(of).max().unwrap_or(0).max(1);
        let (across, down) = (most(|(across, _)| across), most(|(_, down)| down));
        let units =
            u64::from(self.width).div_ceil(8 * across) * u64::from(height).div_ceil(8 * down);
        let blocks: u64 = sampling().map(|(across, down)| across * down).sum();
        units * blocks * 2 * COEFFICIENTS as u64
    }

    fn is_complete(&self) -> bool {
        let mut components = self.components.iter();
        components.all(|component| !component.missing.contains(&true))
    }
}

/// A marker and the segment behind it, if it has one.
struct Segment<'a> {
    marker: u8,
    /// Where the payload starts.
    start: usize,
    payload: &'a [u8],
}

/// The segments of a file in order. Fill bytes, restart markers and entropy-coded data are skipped.
struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Segments<'a> {
    type Item = Result<Segment<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            self.at += rest.iter().position(|&byte| byte == 0xff)?;
            let start = self.at + 4;
            let marker = *self.bytes.get(self.at + 1)?;
            match marker {
                0xff => self.at += 1,
                // A stuffed byte of entropy-coded data; TEM; RST0 to RST7.
                0x00 | 0x01 | 0xd0..=0xd7 => self.at += 2,
                SOI | EOI => {
                    self.at += 2;
                    return Some(Ok(Segment {
                        marker,
                        start,
                        payload: &[],
                    }));
                }
                _ => {
                    let length = self
                        .bytes
                        .get(start - 2..)
                        .and_then(|rest| rest.first_chunk());
                    let end = start - 2 + usize::from(u16::from_be_bytes(*length?));
                    self.at = end.max(start);
                    let payload = self.bytes.get(start..end).ok_or(DecodeError::Damaged);
                    return Some(payload.map(|payload| Segment {
                        marker,
                        start,
                        payload,
                    }));
                }
            }
        }
    }
}
