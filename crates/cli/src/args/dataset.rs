//! The command line of `digits dataset`.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Dataset {
    /// Put a data set on the shared storage, where every trainer on it finds it by name.
    ///
    /// The same again changes nothing. Other data under the same name is what the name means from then on; jobs that
    /// were submitted before keep theirs.
    Push(PushDataset),
    /// List the data sets that a job may name.
    List(ListDatasets),
    /// Show sizes, labels, counts and samples of a data set.
    Show(ShowDataset),
}

#[derive(Debug, Args)]
pub struct PushDataset {
    /// Folder with four IDX files, named as MNIST's are, and perhaps labels.txt with a name for each label; or
    /// `mnist` for MNIST itself.
    #[arg(value_name = "FOLDER")]
    pub source: String,
    /// What jobs will call it; `mnist` where MNIST is pushed.
    #[arg(long)]
    pub name: Option<String>,
    /// The shared storage: a folder, file:///folder or s3://bucket/prefix.
    #[arg(long, env = "DIGITS_STORAGE", value_name = "URL")]
    pub storage: String,
    /// Pictures of it are drawn as MNIST's are: networks trained on it find the ink and centre it, instead of only
    /// scaling the picture.
    #[arg(long)]
    pub handwriting: bool,
    /// A sentence about it.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub description: String,
    /// Who pushes it, for the record.
    #[arg(long, env = "USER", default_value = "")]
    pub by: String,
}

#[derive(Debug, Args)]
pub struct ListDatasets {
    /// List what was pushed to this storage, without asking a trainer.
    #[arg(long, value_name = "URL")]
    pub storage: Option<String>,
}

#[derive(Debug, Args)]
pub struct ShowDataset {
    /// `mnist`, `synthetic`, a pushed one as NAME or NAME@DIGEST, or a folder of IDX files written with a `/`, such
    /// as ./letters.
    #[arg(value_name = "NAME")]
    pub dataset: String,
    /// The shared storage, for a pushed one.
    #[arg(long, env = "DIGITS_STORAGE", value_name = "URL")]
    pub storage: Option<String>,
    /// Draw a sheet of samples, all labels, into this PNG file.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Which part the samples are from.
    #[arg(long, default_value = "train")]
    pub part: SetPart,
    /// Samples of each label on the sheet.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=50))]
    pub samples: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SetPart {
    Train,
    Test,
}
