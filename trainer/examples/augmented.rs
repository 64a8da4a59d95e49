//! Draws a contact sheet of augmented digits: in each row a digit of MNIST's training set, then
//! augmented versions of it. Needs `DIGITS_MNIST_DIR`.
//!
//! `cargo run --release -p digits-trainer --example augmented -- sheet.png [PRESET] [SEED]`

#[path = "../tests/train/support/mnist.rs"]
mod mnist;

use anyhow::Context as _;
use digits_dataset::mnist::MnistSource;
use digits_dataset::{Dataset, Images, LabelledImages};
use digits_trainer::datasets::Catalog;
use digits_trainer::spec::{JobRequest, request::AugmentationRequest, resolve};
use digits_trainer::train::preview_augmentation;
use mnist::{mnist, mnist_dir};
use std::path::PathBuf;

/// Rows of the sheet, and augmented versions in each.
const ROWS: usize = 10;
const COLUMNS: usize = 20;
/// Pixels of the sheet per pixel of an image, and the gap between two images.
const ZOOM: usize = 2;
const GAP: usize = 2;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().context("name the PNG file to write")?);
    let preset = arguments.next().unwrap_or_else(|| "accurate".to_owned());
    let seed = arguments
        .next()
        .map_or(Ok(17), |seed| seed.parse())
        .context("seed")?;
    let dir = mnist_dir().context("set DIGITS_MNIST_DIR to a folder with MNIST's four files")?;
    let data = mnist(&dir);
    let repeated = repeated(&data)?;
    let augmentation = augmentation(&preset)?;
    let changed = preview_augmentation(&augmentation, &repeated, seed)?;
    draw(&repeated.images, &changed).save(&path)?;
    println!(
        "{}: {COLUMNS} of each digit, preset {preset}, seed {seed}",
        path.display()
    );
    Ok(())
}

/// The augmentation of a preset, or the defaults if it has none.
fn augmentation(preset: &str) -> anyhow::Result<digits_trainer::train::Augmentation> {
    let spec = JobRequest {
        preset: preset.to_owned(),
        augmentation: Some(AugmentationRequest {
            enabled: Some(true),
            ..AugmentationRequest::default()
        }),
        device: Some("cpu".to_owned()),
        ..JobRequest::default()
    };
    let catalog = Catalog::open(MnistSource::default(), Vec::new())?;
    let resolved = resolve(&spec, &catalog, None)?;
    resolved.plan.train.augmentation.context("nothing to draw")
}

/// The first image of each digit, repeated.
fn repeated(data: &Dataset) -> anyhow::Result<LabelledImages> {
    let mut pixels = Vec::new();
    let mut labels = Vec::new();
    for digit in 0..ROWS as u16 {
        let at = data.train.labels.iter().position(|&label| label == digit);
        let image = at.and_then(|at| data.train.images.image(at));
        pixels.extend(image.context("a digit is missing")?.repeat(COLUMNS));
        labels.extend([digit; COLUMNS]);
    }
    Ok(LabelledImages {
        images: Images {
            count: labels.len(),
            pixels: pixels.into(),
            ..data.train.images
        },
        labels,
    })
}

fn draw(plain: &Images, changed: &[u8]) -> image::GrayImage {
    let (height, width) = (plain.height, plain.width);
    let cell = |side: usize| (side + GAP) * ZOOM;
    let mut sheet = image::GrayImage::from_pixel(
        (cell(width) * (COLUMNS + 1)) as u32,
        (cell(height) * ROWS) as u32,
        image::Luma([96]),
    );
    let size = plain.image_size();
    for (number, changed) in changed.chunks_exact(size).enumerate() {
        let (row, column) = (number / COLUMNS, number % COLUMNS);
        let first = plain.pixels[number * size..].iter();
        let mut paste = |column: usize, pixels: &mut dyn Iterator<Item = &u8>| {
            for (at, &grey) in pixels.take(size).enumerate() {
                for zoomed in 0..ZOOM * ZOOM {
                    let x = column * cell(width) + (at % width) * ZOOM + zoomed % ZOOM;
                    let y = row * cell(height) + (at / width) * ZOOM + zoomed / ZOOM;
                    sheet.put_pixel(x as u32, y as u32, image::Luma([grey]));
                }
            }
        };
        if column == 0 {
            paste(0, &mut first.take(size));
        }
        paste(column + 1, &mut changed.iter());
    }
    sheet
}
