//! How often whole numbers are read right, by the gap between their digits, on simulated canvases
//! and photographs made from MNIST's test images; how often single digits are split; and what a
//! number of four digits costs. `make bench-numbers` trains the networks and runs it.
//!
//! `numbers [--validation] MNIST_DIR NAME=STORAGE…`, each storage with a model `digits` of MNIST's
//! form. With `--validation` the digits are the last 10,000 training images, on which the
//! segmentation was tuned.

mod compose;
#[allow(dead_code)]
#[path = "../pictures/scenes.rs"]
mod scenes;

use anyhow::{Context as _, bail};
use digits_checkpoint::{Storage, id::ModelName, load, serving};
use digits_dataset::mnist;
use digits_inference::{
    engine::probability::most_probable,
    model::LoadedModel,
    predict::{NormalizedImages, Pixels, logits, preprocess::ImageContent, read},
};
use digits_picture::{Normalized, Normalizer, Picture, Recipe, number::MAX_SEGMENTS, plane::Plane};
use fastrand::Rng;
use scenes::Kind;
use std::time::Instant;

/// Numbers of each gap and scene, and single digits of each scene.
const NUMBERS: usize = 400;
const SINGLES: usize = 1_000;
/// Gaps in shares of the height; digits overlap with negative ones.
const GAPS: [f32; 9] = [-0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.3, 0.5];
const SCENES: [Kind; 3] = [Kind::Canvas, Kind::Photograph, Kind::Ruled];
/// Heights of the digits, in pixels.
const HEIGHTS: std::ops::Range<usize> = 40..80;
/// Width of the margins around a number.
const MARGIN: usize = 30;
/// Last training images, on which the segmentation was tuned.
const VALIDATION: usize = 10_000;
/// Side of the pictures whose cost is measured, and height of their digits.
const COST_SIDE: usize = 400;
const COST_HEIGHT: usize = 50;
/// Times that a picture is read to measure its cost.
const ROUNDS: usize = 41;

/// The normalizer of a service with a network of MNIST's form.
const NORMALIZER: Normalizer = Normalizer {
    height: 28,
    width: 28,
    recipe: Recipe::Mnist,
};

/// Images of digits with their labels.
struct Digits {
    images: Vec<Vec<u8>>,
    labels: Vec<u16>,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let (flags, arguments): (Vec<String>, Vec<String>) = arguments
        .into_iter()
        .partition(|argument| argument == "--validation");
    let Some((dir, nets)) = arguments.split_first().filter(|(_, nets)| !nets.is_empty()) else {
        bail!("usage: numbers [--validation] MNIST_DIR NAME=STORAGE…");
    };
    let digits = digits(dir, !flags.is_empty())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for net in nets {
        let (name, storage) = net.split_once('=').context("NAME=STORAGE")?;
        let model = runtime.block_on(open(storage))?;
        println!("{name}\n");
        accuracy_table(&model, &digits);
        singles_table(&model, &digits);
        cost_table(&model, &digits);
        println!();
    }
    Ok(())
}

fn digits(dir: &str, validation: bool) -> anyhow::Result<Digits> {
    let source = mnist::MnistSource {
        dir: Some(dir.into()),
        cache: dir.into(),
        download: false,
        mirrors: Vec::new(),
    };
    let data = mnist::load(&source, &mut |_| {})?;
    let (part, first) = if validation {
        let first = data.train.labels.len() - VALIDATION;
        (data.train, first)
    } else {
        (data.test, 0)
    };
    let at = first..part.labels.len();
    let image = |at| part.images.image(at).map(<[u8]>::to_vec);
    Ok(Digits {
        images: at.clone().filter_map(image).collect(),
        labels: at.map(|at| part.labels[at]).collect(),
    })
}

async fn open(storage: &str) -> anyhow::Result<LoadedModel> {
    let storage = Storage::open(storage)?;
    let model: ModelName = "digits".parse()?;
    let record = serving::head(&storage, &model).await?;
    let id = record.and_then(|record| record.primary());
    let loaded = load(&storage, id.context("nothing serves")?).await?;
    Ok(LoadedModel::new(&loaded)?)
}

impl Digits {
    /// Ink of a number of `length` digits with this gap and height, and its labels.
    fn number(
        &self,
        length: usize,
        (gap, height): (f32, usize),
        rng: &mut Rng,
    ) -> (Plane, Vec<usize>) {
        let chosen: Vec<usize> = (0..length)
            .map(|_| rng.usize(..self.labels.len()))
            .collect();
        let images: Vec<&[u8]> = chosen.iter().map(|&at| &*self.images[at]).collect();
        let labels = chosen.iter().map(|&at| usize::from(self.labels[at]));
        let labels = labels.collect();
        (compose::number(&images, gap, height, rng), labels)
    }

    /// A picture of a number, and its labels.
    fn draw(&self, scene: Kind, length: usize, gap: f32, rng: &mut Rng) -> (Picture, Vec<usize>) {
        let height = rng.usize(HEIGHTS);
        let (ink, labels) = self.number(length, (gap, height), rng);
        let side = ink.width.max(ink.height) + MARGIN + rng.usize(..=MARGIN);
        (scenes::of_ink(scene, &ink, side, rng), labels)
    }
}

/// The labels that are read in a picture, as the service reads them.
fn labels(model: &LoadedModel, picture: &Picture) -> Vec<usize> {
    let Normalized::Written(lattice) = NORMALIZER.number(picture, MAX_SEGMENTS) else {
        return Vec::new();
    };
    let contents = vec![ImageContent::Written(lattice.lines)];
    let images = NormalizedImages::new(Pixels::Bytes(lattice.inputs.into()), contents);
    let outputs = logits::of(&model.network, images.pixels());
    let (_, outputs) = read(model, images, outputs);
    let digits = outputs.chunks_exact(model.network.classes());
    digits.map(most_probable).collect()
}

fn head() {
    print!("{:<40}", "");
    SCENES
        .iter()
        .for_each(|scene| print!("{:>14}", scene.name()));
    println!();
}

fn accuracy_table(model: &LoadedModel, digits: &Digits) {
    println!("Numbers of 2 to 6 digits that are read right, in percent ({NUMBERS} each)\n");
    head();
    for gap in GAPS {
        print!("{:<40}", format!("gap {gap:.2} of the height"));
        for scene in SCENES {
            let mut rng = Rng::with_seed(3);
            let right = (0..NUMBERS).filter(|_| {
                let length = rng.usize(2..=6);
                let (picture, truth) = digits.draw(scene, length, gap, &mut rng);
                labels(model, &picture) == truth
            });
            print!("{:>14.1}", 100.0 * right.count() as f64 / NUMBERS as f64);
        }
        println!();
    }
}

fn singles_table(model: &LoadedModel, digits: &Digits) {
    println!("\nSingle digits, in percent ({SINGLES} each)\n");
    head();
    let mut rows = [
        ("read right", [0.0; 3]),
        ("split", [0.0; 3]),
        ("right as EXPECT_SINGLE", [0.0; 3]),
    ];
    for (column, scene) in SCENES.into_iter().enumerate() {
        let mut rng = Rng::with_seed(4);
        for _ in 0..SINGLES {
            let (picture, truth) = digits.draw(scene, 1, 0.0, &mut rng);
            let read = labels(model, &picture);
            let whole = match NORMALIZER.picture(&picture) {
                Normalized::Input(input) => {
                    let outputs = logits::of(&model.network, &Pixels::Bytes(input.into()));
                    vec![most_probable(&outputs)]
                }
                _ => Vec::new(),
            };
            for (row, counts) in [read == truth, read.len() > 1, whole == truth]
                .into_iter()
                .enumerate()
            {
                rows[row].1[column] += 100.0 * f64::from(u8::from(counts)) / SINGLES as f64;
            }
        }
    }
    for (name, figures) in rows {
        print!("{name:<40}");
        figures.iter().for_each(|figure| print!("{figure:>14.1}"));
        println!();
    }
}

/// Length and gap of the numbers whose cost is measured; the first is the measure of the others.
const COSTS: [(usize, f32); 3] = [(1, 0.0), (4, 0.2), (4, 0.0)];

fn cost_table(model: &LoadedModel, digits: &Digits) {
    println!("\nReading a decoded picture, median in ms\n");
    head();
    let medians = SCENES.map(|scene| medians(model, digits, scene));
    for (row, (length, gap)) in COSTS.into_iter().enumerate() {
        let name = match length {
            1 => "one digit".to_owned(),
            _ => format!("four digits, {gap:.1} of the height apart"),
        };
        print!("{name:<40}");
        medians
            .iter()
            .for_each(|scene| print!("{:>14.2}", scene[row]));
        println!();
    }
    for (row, (_, gap)) in COSTS.into_iter().enumerate().skip(1) {
        print!("{:<40}", format!("  in times of one digit, {gap:.1} apart"));
        let times = medians.iter().map(|scene| scene[row] / scene[0]);
        times.for_each(|times| print!("{times:>14.2}"));
        println!();
    }
}

/// Median time of each of [`COSTS`] in ms, measured in turns.
fn medians(model: &LoadedModel, digits: &Digits, scene: Kind) -> [f64; COSTS.len()] {
    let mut rng = Rng::with_seed(5);
    let mut times = [const { Vec::new() }; COSTS.len()];
    for _ in 0..ROUNDS {
        for (times, (length, gap)) in times.iter_mut().zip(COSTS) {
            let (ink, _) = digits.number(length, (gap, COST_HEIGHT), &mut rng);
            let picture = scenes::of_ink(scene, &ink, COST_SIDE, &mut rng);
            let start = Instant::now();
            std::hint::black_box(labels(model, &picture));
            times.push(1e3 * start.elapsed().as_secs_f64());
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    })
}
