//! Flags of `digits dataset`.

use super::values::{share, size, white, whole};
use clap::{Args, Subcommand, ValueEnum};
use digits_cli::image_set::Size;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Dataset {
    /// Put a data set on the shared storage, where every trainer that uses this storage finds it by
    /// name.
    ///
    /// Pushing the same data again changes nothing. Other data under the same name replaces it for
    /// new jobs; jobs that were submitted before keep the data that they were submitted with.
    Push(PushDataset),
    /// List the data sets that a job may name.
    List(ListDatasets),
    /// Show size, labels, counts and samples of a data set.
    Show(ShowDataset),
}

#[derive(Debug, Args)]
pub struct PushDataset {
    /// Folder with a folder of pictures for each label; folder with IDX files, named as those of
    /// MNIST, EMNIST, KMNIST or QMNIST are; CSV, NumPy or Parquet file, or a folder of such files for
    /// training and test, perhaps with labels.txt, a name for each label; or `mnist` for MNIST
    /// itself.
    #[arg(value_name = "PATH")]
    pub source: String,
    /// Name by which jobs refer to the data set; `mnist` by default for MNIST.
    #[arg(long)]
    pub name: Option<String>,
    /// The shared storage: a folder, file:///folder, s3://bucket/prefix, gs://bucket/prefix or
    /// az://container/prefix.
    #[arg(long, env = "DIGITS_STORAGE", value_name = "URL")]
    pub storage: String,
    /// The data set is handwriting like MNIST: pictures sent to networks trained on it are
    /// normalized by finding and centring the ink, instead of only being scaled. To correct it, push
    /// again with or without this flag.
    #[arg(long)]
    pub handwriting: bool,
    #[command(flatten)]
    pub read: ReadFolder,
    /// Description of the data set, in a sentence.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub description: String,
    /// Who pushes the data set; stored with its name.
    #[arg(long, env = "USER", default_value = "")]
    pub by: String,
}

/// How files are read.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct ReadFolder {
    /// Exchange rows and columns of the images, as EMNIST's files need. EMNIST's are recognized by
    /// their names; `--transpose=no` reads them as they are.
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub transpose: Option<Switch>,
    /// The smallest label of the files, which becomes the first: 1 for EMNIST's letters.
    #[arg(long, value_name = "NUMBER", value_parser = whole::<u16>(0..=32_767))]
    pub labels_from: Option<u16>,
    /// Make dark pixels light and light ones dark, where ink is dark on a light background. Pictures
    /// are so by themselves with --handwriting; `--invert=no` leaves them.
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pub invert: Option<Switch>,
    /// Share of the images of each label to keep for the test, where there is no test part; 0.2
    /// except for IDX files.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub test_fraction: Option<f64>,
    /// Scale all pictures to this size, such as 28x28; without it they must have one size. Of images
    /// that are rows of so many pixels, it is the size.
    #[arg(long, value_name = "HEIGHTxWIDTH", value_parser = size)]
    pub size: Option<Size>,
    /// Column of the labels in CSV and Parquet files: its name, or in CSV files `first`, `last` or
    /// its number, of which the first is 1. By default the one that is named label, class or target,
    /// else the first or the last, by its values.
    #[arg(long, value_name = "COLUMN")]
    pub label_column: Option<String>,
    /// Value of a white pixel in CSV and NumPy files, which becomes 255; by default 1, 16, 255 or
    /// 65535, by the first images.
    #[arg(long, value_name = "NUMBER", value_parser = white)]
    pub white: Option<f32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    Yes,
    No,
}

#[derive(Debug, Args)]
pub struct ListDatasets {
    /// List the data sets that were pushed to this storage, without a trainer.
    #[arg(long, value_name = "URL")]
    pub storage: Option<String>,
}

#[derive(Debug, Args)]
pub struct ShowDataset {
    /// `mnist`, `synthetic`, a pushed data set as NAME or NAME@DIGEST, or the path of a folder or
    /// file that could be pushed, which must contain a `/`, such as ./letters.
    #[arg(value_name = "NAME")]
    pub dataset: String,
    /// The shared storage, for a pushed data set.
    #[arg(long, env = "DIGITS_STORAGE", value_name = "URL")]
    pub storage: Option<String>,
    #[command(flatten)]
    pub read: ReadFolder,
    /// PNG file to write, with samples of all labels.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Part of the data set that the samples are taken from.
    #[arg(long, default_value = "train")]
    pub part: SetPart,
    /// Samples of each label in the PNG file.
    #[arg(long, value_name = "COUNT", value_parser = whole::<u32>(1..=50))]
    pub samples: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SetPart {
    Train,
    Test,
}
