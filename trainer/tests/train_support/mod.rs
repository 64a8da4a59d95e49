//! What the tests of the training share: data, an observer that keeps everything, the notebook's plan, and
//! how a test that cannot run says so.
#![allow(dead_code, reason = "each test uses its part")]

use digits_checkpoint::manifest::{Activation, Architecture, InputSpec};
use digits_dataset::{Dataset, Images, LabelledImages, idx};
use digits_trainer::train::{
    Device, Observer, Optimizer, Plan, Precision, PublishFailed, PublishPolicy, Regularization,
    Row, Schedule, Snapshot, Split, Started, rng::Mt19937,
};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says loudly that a test is skipped and why; with `DIGITS_FORBID_SKIP=1` that is a failure.
pub fn skip(test: &str, why: &str) {
    let forbidden = std::env::var_os("DIGITS_FORBID_SKIP").is_some_and(|value| value == "1");
    assert!(!forbidden, "{test} may not be skipped: {why}");
    // Not eprintln!, which the test harness swallows.
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: {test}: {why} ***\n");
}

/// The folder of MNIST's four files.
pub fn mnist_dir() -> Option<PathBuf> {
    std::env::var_os("DIGITS_MNIST_DIR")
        .map(PathBuf::from)
        .filter(|dir| dir.is_dir())
}

/// MNIST from a folder, raw or gzipped.
pub fn mnist(dir: &Path) -> Dataset {
    let file = |name: &str| {
        let raw = dir.join(name);
        if raw.exists() {
            raw
        } else {
            dir.join(format!("{name}.gz"))
        }
    };
    let part = |name: &str| LabelledImages {
        images: idx::read_images(&file(&format!("{name}-images-idx3-ubyte"))).expect("images"),
        labels: idx::read_labels(&file(&format!("{name}-labels-idx1-ubyte"))).expect("labels"),
    };
    let names = (0..10).map(|digit: u8| digit.to_string()).collect();
    Dataset::new("mnist", part("train"), part("t10k"), names).expect("a good data set")
}

/// The first images of a data set's training part.
pub fn head(data: &Dataset, images: usize) -> Dataset {
    let set = &data.train;
    let train = LabelledImages {
        images: Images {
            count: images,
            pixels: set.images.pixels[..images * set.images.image_size()].to_vec(),
            ..set.images
        },
        labels: set.labels[..images].to_vec(),
    };
    Dataset::new(
        &data.name,
        train,
        data.test.clone(),
        data.label_names.clone(),
    )
    .expect("good")
}

/// Small images from nothing: each class has its own pattern, under noise.
pub fn patterns(images: usize, height: usize, width: usize, classes: u16) -> Dataset {
    let mut generator = Mt19937::new(99);
    let size = height * width;
    let masks: Vec<u8> = (0..usize::from(classes) * size)
        .map(|_| {
            if generator.word().is_multiple_of(4) {
                160
            } else {
                0
            }
        })
        .collect();
    let mut part = |count: usize| {
        let mut pixels = Vec::with_capacity(count * size);
        let mut labels = Vec::with_capacity(count);
        for _ in 0..count {
            let label = (generator.word() % u32::from(classes)) as u16;
            let mask = &masks[usize::from(label) * size..][..size];
            pixels.extend(mask.iter().map(|ink| ink + (generator.word() % 95) as u8));
            labels.push(label);
        }
        LabelledImages {
            images: Images {
                count,
                height,
                width,
                pixels,
            },
            labels,
        }
    };
    let (train, test) = (part(images), part(images / 4 + 1));
    let names = (0..classes).map(|label| label.to_string()).collect();
    Dataset::new("patterns", train, test, names).expect("a good data set")
}

/// The notebook's plan for a data set; tests change what they are about.
pub fn notebook_plan(data: &Dataset) -> Plan {
    let InputSpec { height, width, .. } = input(data);
    Plan {
        architecture: Architecture {
            input_size: height * width,
            hidden: vec![10],
            classes: data.classes(),
            activation: Activation::Relu,
        },
        input: input(data),
        split: Split::Fractions {
            train: 0.9,
            validation: 0.1,
        },
        split_seed: None,
        seed: 17,
        generator_skip: 15_962,
        first_weights: None,
        batch_size: 64,
        epochs: 5,
        optimizer: Optimizer::Sgd {
            learning_rate: 1e-3,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 0.0,
        },
        schedule: Schedule::Constant,
        validate_every: 100,
        evaluation_batch_size: 64,
        augmentation: None,
        device: Device::Cpu,
        precision: Precision::Float32,
        threads_at_most: usize::MAX,
        publish: PublishPolicy::Final,
        regularization: Regularization::default(),
        patience_rows: None,
        calibrate: false,
    }
}

fn input(data: &Dataset) -> InputSpec {
    InputSpec {
        height: data.train.images.height,
        width: data.train.images.width,
        scale: 255.0,
        mean: 0.0,
        std: 1.0,
    }
}

/// Keeps everything that it is told.
#[derive(Default)]
pub struct Record {
    pub started: Option<Started>,
    pub rows: Vec<Row>,
    pub steps: Vec<u64>,
    pub snapshots: Vec<Snapshot>,
    /// Wants the training to stop once so many steps are done.
    pub stop_after: Option<usize>,
    /// Cannot publish.
    pub broken_storage: bool,
}

impl Observer for Record {
    fn started(&mut self, started: &Started) {
        assert!(self.started.replace(started.clone()).is_none(), "once");
    }

    fn row(&mut self, row: &Row) {
        self.rows.push(row.clone());
    }

    fn progress(&mut self, step: u64) {
        self.steps.push(step);
    }

    fn snapshot(&mut self, snapshot: Snapshot) -> Result<(), PublishFailed> {
        if self.broken_storage {
            return Err(PublishFailed {
                message: "the storage is full".to_owned(),
            });
        }
        self.snapshots.push(snapshot);
        Ok(())
    }

    fn should_stop(&self) -> bool {
        self.stop_after.is_some_and(|most| self.steps.len() >= most)
    }
}

/// A Python that has torch, if there is one: `DIGITS_PYTHON`, else `python3`.
pub fn python_with_torch() -> Option<PathBuf> {
    let python = std::env::var_os("DIGITS_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    let answers = Command::new(&python)
        // Only looked for: torch takes seconds to import.
        .args([
            "-c",
            "import importlib.util as u; assert all(map(u.find_spec, ['torch', 'numpy', 'safetensors']))",
        ])
        .output()
        .is_ok_and(|output| output.status.success());
    answers.then_some(python)
}

/// One of the scripts beside the end-to-end tests.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/python")
        .join(name)
}
