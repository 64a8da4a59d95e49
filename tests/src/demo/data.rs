//! The demo's data: MNIST, or with a warning the built-in digits if MNIST cannot be obtained.

use crate::specs;
use anyhow::Result;
use digits_dataset::{
    Dataset,
    mnist::{self, MnistSource},
    synthetic,
};
use digits_proto::v1::{DataSpec, JobSpec, SyntheticSpec};

/// Images of the built-in set, as many as MNIST has.
const SYNTHETIC: synthetic::Options = synthetic::Options {
    train: 60_000,
    test: 10_000,
    seed: 0,
};

/// The data set of the demo.
pub struct Data {
    set: Dataset,
    mnist: Option<MnistSource>,
}

/// Reads or downloads MNIST; falls back to the built-in digits.
pub fn load() -> Result<Data> {
    let source = MnistSource::default();
    match mnist::load(&source, &mut super::report::download()) {
        Ok(set) => Ok(Data {
            set,
            mnist: Some(source),
        }),
        Err(error) => {
            eprintln!("\n*** MNIST IS NOT TO BE HAD: {error}");
            eprintln!(
                "*** Training on built-in synthetic digits instead: the figures below are not the notebook's."
            );
            eprintln!("*** To use MNIST, set DIGITS_MNIST_DIR to a folder with its four files.\n");
            Ok(Data {
                set: synthetic::generate(&SYNTHETIC),
                mnist: None,
            })
        }
    }
}

impl Data {
    /// The images.
    pub fn set(&self) -> &Dataset {
        &self.set
    }

    /// The pixels of the first test image.
    pub fn first_test_image(&self) -> Vec<u8> {
        let images = &self.set.test.images;
        images.pixels[..images.height * images.width].to_vec()
    }

    /// Whether it is the real MNIST.
    pub fn is_mnist(&self) -> bool {
        self.mnist.is_some()
    }

    /// A sentence that describes the data.
    pub fn description(&self) -> String {
        let name = if self.is_mnist() {
            "MNIST"
        } else {
            "synthetic digits"
        };
        let (train, test) = (&self.set.train.images, &self.set.test.images);
        format!(
            "{name}: {} images to train and validate on, {} to test on, {} × {}",
            train.count, test.count, train.height, train.width
        )
    }

    /// Arguments that name it to the trainer.
    pub fn trainer_arguments(&self) -> Vec<String> {
        let dir = self.mnist.as_ref().and_then(|source| source.dir.as_ref());
        dir.map_or_else(Vec::new, |dir| {
            vec!["--mnist-dir".to_owned(), dir.display().to_string()]
        })
    }

    /// The notebook's job, on this data.
    pub fn spec(&self) -> JobSpec {
        let mut spec = specs::notebook();
        if !self.is_mnist() {
            let sizes = SyntheticSpec {
                train_images: u32::try_from(SYNTHETIC.train).ok(),
                test_images: u32::try_from(SYNTHETIC.test).ok(),
                seed: Some(SYNTHETIC.seed),
            };
            spec.data = Some(DataSpec {
                dataset: Some("synthetic".to_owned()),
                synthetic: Some(sizes),
                ..DataSpec::default()
            });
        }
        spec
    }
}
