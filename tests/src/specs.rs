//! Job specs that the tests and the demo submit.

use digits_proto::v1::{
    ArchitectureSpec, DataSpec, HiddenLayers, JobSpec, Sgd, SplitCounts, SyntheticSpec, data_spec,
    job_spec::Optimizer,
};

/// The notebook's job.
#[must_use]
pub fn notebook() -> JobSpec {
    JobSpec {
        preset: "notebook".to_owned(),
        name: "notebook".to_owned(),
        ..JobSpec::default()
    }
}

/// The notebook's job with another seed, run from top to bottom.
#[must_use]
pub fn notebook_with_seed(seed: u64) -> JobSpec {
    JobSpec {
        seed: Some(seed),
        generator_skip: Some(0),
        ..notebook()
    }
}

/// A job of a second or less on built-in digits.
#[must_use]
pub fn synthetic(epochs: u32) -> JobSpec {
    JobSpec {
        preset: "notebook".to_owned(),
        name: "synthetic".to_owned(),
        data: Some(DataSpec {
            dataset: Some("synthetic".to_owned()),
            split: Some(data_spec::Split::Counts(SplitCounts {
                train: 2_000,
                validation: 500,
            })),
            synthetic: Some(SyntheticSpec {
                train_images: Some(2_500),
                test_images: Some(500),
                seed: Some(1),
            }),
            ..DataSpec::default()
        }),
        architecture: Some(ArchitectureSpec {
            hidden: Some(HiddenLayers { widths: vec![32] }),
            ..ArchitectureSpec::default()
        }),
        optimizer: Some(Optimizer::Sgd(Sgd {
            learning_rate: Some(0.05),
            ..Sgd::default()
        })),
        epochs: Some(epochs),
        seed: Some(3),
        generator_skip: Some(0),
        ..JobSpec::default()
    }
}
