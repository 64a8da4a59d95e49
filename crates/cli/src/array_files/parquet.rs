//! Reads images and labels from Parquet, as the Hugging Face hub has them: the bytes of PNG or JPEG
//! files in `image.bytes`, and labels, whose names may be in the metadata.

use super::sink::{Sink, failed};
use crate::{Error, image_set::Label};
use indicatif::ProgressBar;
use parquet::{
    basic::Type as PhysicalType,
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{ByteArray, DataType},
    errors::ParquetError,
    file::reader::{FileReader as _, RowGroupReader, SerializedFileReader},
    schema::types::{ColumnDescriptor, SchemaDescriptor},
};
use std::{fs::File, path::Path};

const IMAGES: [&str; 5] = ["image", "img", "picture", "png", "jpg"];
const LABELS: [&str; 8] = [
    "label",
    "labels",
    "class",
    "target",
    "digit",
    "y",
    "character",
    "fine_label",
];
/// Rows that are read at once.
const ROWS: usize = 64;

/// The indices of the two columns.
struct Columns {
    image: usize,
    label: Option<usize>,
}

/// Reads a file; the images have labels, or it returns false and has read nothing.
pub(super) fn read(
    path: &Path,
    progress: &ProgressBar,
    sink: &mut Sink<'_>,
) -> Result<bool, Error> {
    let name = path.display().to_string();
    let wrong = |error: ParquetError| Error::input(&name, error);
    let file = File::open(path).map_err(|error| Error::input(&name, error))?;
    let reader = SerializedFileReader::new(file).map_err(wrong)?;
    let metadata = reader.metadata().file_metadata();
    let wanted = sink.options.label_column.as_deref();
    let columns =
        find(metadata.schema_descr(), wanted).map_err(|reason| Error::input(&name, reason))?;
    let Some(label) = columns.label else {
        return Ok(false);
    };
    let schema = metadata.schema_descr();
    let pairs = metadata.key_value_metadata().into_iter().flatten();
    let mut values = pairs.filter(|pair| pair.key == "huggingface");
    let json = values.find_map(|pair| pair.value.as_deref());
    let label_name = schema.column(label).path().parts()[0].clone();
    if let Some(names) = json.and_then(|json| names(json, &label_name)) {
        sink.name_labels(names);
    }
    let mut row = 0;
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index).map_err(wrong)?;
        row += read_group(&*group, &columns, label, |row_in_group, image, label| {
            let at = format_args!("{name} row {}", row + row_in_group);
            sink.add_encoded(&at, image, label)
        })
        .map_err(|error| error.named(&name))?;
        progress.inc(u64::try_from(group.metadata().compressed_size()).unwrap_or(0));
    }
    Ok(true)
}

/// The columns of images and labels.
fn find(schema: &SchemaDescriptor, wanted: Option<&str>) -> Result<Columns, String> {
    let columns = schema.columns();
    let named = |names: &[&str], column: &ColumnDescriptor| {
        let root = column.path().parts()[0].to_ascii_lowercase();
        names.contains(&root.as_str())
    };
    let is_image = |column: &ColumnDescriptor| {
        let parts = column.path().parts();
        let is_bytes = parts.len() == 2 && parts[1] == "bytes";
        column.physical_type() == PhysicalType::BYTE_ARRAY
            && column.max_rep_level() == 0
            && (is_bytes || (parts.len() == 1 && named(&IMAGES, column)))
    };
    let is_label = |column: &ColumnDescriptor| {
        let types = [
            PhysicalType::INT32,
            PhysicalType::INT64,
            PhysicalType::BYTE_ARRAY,
        ];
        column.max_rep_level() == 0
            && types.contains(&column.physical_type())
            && match wanted {
                Some(wanted) => column.path().string() == wanted,
                None => named(&LABELS, column),
            }
    };
    let image = columns.iter().position(|column| is_image(column));
    let label = columns.iter().position(|column| is_label(column));
    let all = || {
        let all: Vec<String> = columns
            .iter()
            .map(|column| column.path().string())
            .collect();
        all.join(", ")
    };
    match (image, label, wanted) {
        (None, ..) => Err(format!(
            "has no column of pictures, image with the bytes of PNG or JPEG files, as the Hugging Face hub has them, but {}: \
             save a table of pixels as CSV",
            all()
        )),
        (_, None, Some(wanted)) => Err(format!(
            "has no column {wanted:?}, which --label-column names, but {}",
            all()
        )),
        (Some(image), label, _) => Ok(Columns { image, label }),
    }
}

/// The names of the labels in the metadata of a data set of the hub.
fn names(json: &str, label: &str) -> Option<Vec<String>> {
    let json: serde_json::Value = serde_json::from_str(json).ok()?;
    let names = json["info"]["features"][label]["names"].as_array()?;
    names
        .iter()
        .map(|name| Some(name.as_str()?.to_owned()))
        .collect()
}

/// An error of a group of rows.
enum GroupError {
    File(ParquetError),
    Row(String),
    Image(Error),
}

impl From<ParquetError> for GroupError {
    fn from(error: ParquetError) -> Self {
        Self::File(error)
    }
}

impl GroupError {
    fn named(self, name: &str) -> Error {
        match self {
            Self::File(error) => Error::input(name, error),
            Self::Row(reason) => failed(&name, reason),
            Self::Image(error) => error,
        }
    }
}

/// Hands each row of a group to `take`; how many there are.
fn read_group(
    group: &dyn RowGroupReader,
    columns: &Columns,
    label: usize,
    mut take: impl FnMut(usize, &[u8], &Label) -> Result<(), Error>,
) -> Result<usize, GroupError> {
    let ColumnReader::ByteArrayColumnReader(images) = group.get_column_reader(columns.image)?
    else {
        return Err(GroupError::Row("its images are not bytes".to_owned()));
    };
    let mut images = Column::new(images);
    let mut labels = LabelReader::new(group.get_column_reader(label)?)?;
    let mut row = 0;
    loop {
        let images = images.next()?;
        let labels = labels.next()?;
        if images.is_empty() && labels.is_empty() {
            return Ok(row);
        }
        if images.len() != labels.len() {
            let reason = "its columns have different numbers of rows";
            return Err(GroupError::Row(reason.to_owned()));
        }
        for (image, label) in images.iter().zip(&labels) {
            let (Some(image), Some(label)) = (image, label) else {
                let reason = format!("row {row} of a group has no image or no label: remove it");
                return Err(GroupError::Row(reason));
            };
            take(row, image.data(), label).map_err(GroupError::Image)?;
            row += 1;
        }
    }
}

/// The column of labels.
enum LabelReader {
    Short(Column<parquet::data_type::Int32Type>),
    Long(Column<parquet::data_type::Int64Type>),
    Text(Column<parquet::data_type::ByteArrayType>),
}

impl LabelReader {
    fn new(reader: ColumnReader) -> Result<Self, GroupError> {
        match reader {
            ColumnReader::Int32ColumnReader(reader) => Ok(Self::Short(Column::new(reader))),
            ColumnReader::Int64ColumnReader(reader) => Ok(Self::Long(Column::new(reader))),
            ColumnReader::ByteArrayColumnReader(reader) => Ok(Self::Text(Column::new(reader))),
            _ => Err(GroupError::Row(
                "its labels are neither numbers nor texts".to_owned(),
            )),
        }
    }

    fn next(&mut self) -> Result<Vec<Option<Label>>, GroupError> {
        let number = |number: Option<i64>| number.map(Label::Number);
        let text = |bytes: ByteArray| {
            let text = bytes.as_utf8().ok()?;
            Some(Label::Text(text.to_owned()))
        };
        Ok(match self {
            Self::Short(column) => column
                .next()?
                .into_iter()
                .map(|it| number(it.map(i64::from)))
                .collect(),
            Self::Long(column) => column.next()?.into_iter().map(number).collect(),
            Self::Text(column) => column
                .next()?
                .into_iter()
                .map(|it| it.and_then(text))
                .collect(),
        })
    }
}

/// A column without repetition.
struct Column<T: DataType> {
    reader: ColumnReaderImpl<T>,
    levels: Vec<i16>,
    values: Vec<T::T>,
}

impl<T: DataType> Column<T> {
    fn new(reader: ColumnReaderImpl<T>) -> Self {
        Self {
            reader,
            levels: Vec::new(),
            values: Vec::new(),
        }
    }

    /// The values of the next rows; none at the end.
    fn next(&mut self) -> Result<Vec<Option<T::T>>, ParquetError> {
        self.levels.clear();
        self.values.clear();
        let levels = Some(&mut self.levels);
        let (rows, ..) = self
            .reader
            .read_records(ROWS, levels, None, &mut self.values)?;
        if self.values.len() == rows {
            return Ok(self.values.drain(..).map(Some).collect());
        }
        // Fewer values than rows: the level of a row tells whether it has one.
        let most = self.levels.iter().copied().max().unwrap_or(0);
        let mut values = self.values.drain(..);
        let all_absent = values.len() == 0;
        let levels = self.levels.iter();
        let is_there = |level: &i16| !all_absent && *level == most;
        Ok(levels
            .map(|level| is_there(level).then(|| values.next()).flatten())
            .collect())
    }
}
