//! Reads images and labels from arrays of NumPy: `.npy` files, and `.npz` archives of them.

mod header;

pub(super) use header::MAGIC;

use super::{
    levels::Levels,
    shape::Shape,
    sink::{Sink, failed},
};
use crate::{Error, image_set::Label};
use digits_dataset::idx;
use header::{Element, Header};
use indicatif::ProgressBar;
use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Cursor, Read},
    path::{Path, PathBuf},
};
use zip::ZipArchive;

/// Bytes of the first images, which tell what is white.
const SAMPLE_BYTES: usize = 16 << 20;
const BUFFER: usize = 1 << 18;

/// Where an array is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Array {
    pub(super) path: PathBuf,
    /// Its name in the archive.
    pub(super) member: Option<String>,
}

impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.member {
            None => self.path.display().fmt(f),
            Some(member) => write!(f, "{} in {}", member, self.path.display()),
        }
    }
}

/// Whether a ZIP file has arrays.
pub(super) fn is_archive(path: &Path) -> bool {
    members(path).is_ok_and(|members| !members.is_empty())
}

/// The names of the arrays in an archive, in its order, without `.npy`.
pub(super) fn members(path: &Path) -> Result<Vec<String>, Error> {
    let shown = path.display().to_string();
    let file = File::open(path).map_err(|error| Error::input(&shown, error))?;
    let archive = ZipArchive::new(BufReader::new(file));
    let archive = archive.map_err(|error| Error::input(&shown, error))?;
    let arrays = archive
        .file_names()
        .filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_owned()));
    Ok(arrays.collect())
}

/// The number of dimensions of an array.
pub(super) fn rank(array: &Array) -> Result<usize, Error> {
    open(array, &ProgressBar::hidden(), |header, _| {
        Ok(header.shape.len())
    })
}

/// Reads images and their labels.
pub(super) fn read(
    images: &Array,
    labels: &Array,
    progress: &ProgressBar,
    sink: &mut Sink<'_>,
) -> Result<(), Error> {
    let places = open(labels, progress, |header, input| {
        read_labels(labels, header, input, sink)
    })?;
    open(images, progress, |header, input| {
        read_images(images, header, input, &places, sink)
    })
}

/// Opens an array and hands its header and its elements to `read`.
fn open<T>(
    array: &Array,
    progress: &ProgressBar,
    read: impl FnOnce(&Header, &mut dyn Read) -> Result<T, Error>,
) -> Result<T, Error> {
    let cannot = |error: &dyn fmt::Display| failed(array, error);
    let file = File::open(&array.path).map_err(|error| cannot(&error))?;
    let file = BufReader::with_capacity(BUFFER, progress.wrap_read(file));
    let with_header = |input: &mut dyn Read| {
        let header = Header::read(&mut &mut *input).map_err(|reason| cannot(&reason))?;
        read(&header, input)
    };
    match &array.member {
        None => with_header(&mut { file }),
        Some(member) => {
            let mut archive = ZipArchive::new(file).map_err(|error| cannot(&error))?;
            let member = archive.by_name(&format!("{member}.npy"));
            let member = member.map_err(|error| cannot(&error))?;
            with_header(&mut BufReader::with_capacity(BUFFER, member))
        }
    }
}

fn read_labels(
    array: &Array,
    header: &Header,
    input: &mut dyn Read,
    sink: &mut Sink<'_>,
) -> Result<Vec<u16>, Error> {
    let count = match header.shape[..] {
        [count] | [count, 1] => count,
        _ => {
            let shape = &header.shape;
            let reason = format!(
                "has the shape {shape:?}, which is not that of labels: save one number for each image; numpy.argmax(labels, \
                 axis=1) makes them of one-hot labels"
            );
            return Err(failed(array, reason));
        }
    };
    let mut bytes = vec![0; header.element.size];
    let mut places = Vec::new();
    for index in 0..count {
        fill(array, input, &mut bytes, count)?;
        let at = format_args!("{array} at {index}");
        let label = label(header.element, &bytes).map_err(|reason| failed(&at, reason))?;
        places.push(sink.place(&at, &label)?);
    }
    Ok(places)
}

fn label(element: Element, bytes: &[u8]) -> Result<Label, String> {
    if element.is_text() {
        return Ok(Label::Text(element.text(bytes)));
    }
    match element.number(bytes) {
        number if number.fract() == 0.0 => Ok(Label::Number(number as i64)),
        number => Err(format!("the label {number} is not a whole number")),
    }
}

fn read_images(
    array: &Array,
    header: &Header,
    input: &mut dyn Read,
    places: &[u16],
    sink: &mut Sink<'_>,
) -> Result<(), Error> {
    let element = header.element;
    let name = array.to_string();
    let shape = Shape::of(&header.shape, sink.options.size, &name)?;
    let count = header.shape.first().copied().unwrap_or(0);
    if element.is_text() || count != places.len() {
        let reason = match element.is_text() {
            true => "has texts, where pixels are numbers".to_owned(),
            false => format!("has {count} images, and there are {} labels", places.len()),
        };
        return Err(failed(array, reason));
    }
    let pixels = count as u64 * (shape.size.height * shape.size.width) as u64;
    if sink.options.size.is_none() && pixels > idx::MAX_CONTENT_BYTES {
        let limit = idx::MAX_CONTENT_BYTES;
        let reason = format!(
            "has {pixels} pixels, above the limit of {limit}: use fewer images, or smaller ones with --size"
        );
        return Err(failed(array, reason));
    }
    let mut bytes = vec![0; shape.values() * element.size];
    let mut first = vec![
        0;
        (SAMPLE_BYTES / bytes.len())
            .clamp(1, count.max(1))
            .min(count)
            * bytes.len()
    ];
    fill(array, input, &mut first, count)?;
    let levels = sink.levels(&name, || {
        let numbers = first.chunks_exact(element.size);
        numbers.map(|bytes| element.number(bytes) as f32).collect()
    })?;
    let mut input = Cursor::new(first).chain(input);
    for (index, place) in places.iter().enumerate() {
        fill(array, &mut input, &mut bytes, count)?;
        let at = format_args!("{array} at {index}");
        let pixels = convert(&bytes, element, levels).map_err(|reason| failed(&at, reason))?;
        sink.add(&at, shape.picture(pixels), *place)?;
    }
    Ok(())
}

fn convert(bytes: &[u8], element: Element, levels: Levels) -> Result<Vec<u8>, String> {
    if element.is_byte() && levels.note().is_none() {
        return Ok(bytes.to_vec());
    }
    let values = bytes.chunks_exact(element.size);
    values
        .map(|bytes| levels.byte(element.number(bytes) as f32))
        .collect()
}

fn fill(
    array: &Array,
    input: &mut (impl Read + ?Sized),
    bytes: &mut [u8],
    count: usize,
) -> Result<(), Error> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => failed(
            array,
            format!("is cut off: its header declares {count} elements, and it ends before them; save it again"),
        ),
        _ => failed(array, error),
    })
}
