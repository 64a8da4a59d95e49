//! Flags of `digits dataset`.

use super::values::whole;
use clap::{Args, Subcommand, ValueEnum};
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
    /// Folder with four IDX files, named as MNIST's are, and perhaps labels.txt with a name for
    /// each label; or `mnist` for MNIST itself.
    #[arg(value_name = "FOLDER")]
    pub source: String,
    /// Name by which jobs refer to the data set; `mnist` by default for MNIST.
    #[arg(long)]
    pub name: Option<String>,
    /// The shared storage: a folder, file:///folder or s3://bucket/prefix.
    #[arg(long, env = "DIGITS_STORAGE", value_name = "URL")]
    pub storage: String,
    /// The data set is handwriting like MNIST: pictures sent to networks trained on it are
    /// normalized by finding and centring the ink, instead of only being scaled. To correct it, push
    /// again with or without this flag.
    #[arg(long)]
    pub handwriting: bool,
    /// Description of the data set, in a sentence.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub description: String,
    /// Who pushes the data set; stored with its name.
    #[arg(long, env = "USER", default_value = "")]
    pub by: String,
}

#[derive(Debug, Args)]
pub struct ListDatasets {
    /// List the data sets that were pushed to this storage, without a trainer.
    #[arg(long, value_name = "URL")]
    pub storage: Option<String>,
}

#[derive(Debug, Args)]
pub struct ShowDataset {
    /// `mnist`, `synthetic`, a pushed data set as NAME or NAME@DIGEST, or the path of a folder of
    /// IDX files, which must contain a `/`, such as ./letters.
    #[arg(value_name = "NAME")]
    pub dataset: String,
    /// The shared storage, for a pushed data set.
    #[arg(long, env = "DIGITS_STORAGE", value_name = "URL")]
    pub storage: Option<String>,
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
