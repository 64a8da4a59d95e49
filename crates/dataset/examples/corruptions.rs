//! Draws a contact sheet of the corruptions: a row of examples for each, under a row of the images
//! as they are.
//!
//! `cargo run --release -p digits-dataset --example corruptions -- sheet.png [FOLDER-OF-MNIST]`

use anyhow::Context as _;
use digits_dataset::{
    Images,
    corruptions::{Corruption, corrupt_range},
    folder, synthetic,
};
use std::path::PathBuf;

const COLUMNS: usize = 24;
const GAP: usize = 2;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let path = arguments.next().context("name the PNG file to write")?;
    let images = match arguments.next() {
        Some(dir) => folder::load("images", &dir)?.test.images,
        None => {
            synthetic::generate(&synthetic::Options::default())
                .test
                .images
        }
    };
    let mut rows = vec![images.clone()];
    rows.extend(
        Corruption::ALL.map(|corruption| corrupt_range(&images, 0..COLUMNS, corruption, 0)),
    );

    let (height, width) = (images.height + GAP, images.width + GAP);
    let mut sheet = image::GrayImage::from_pixel(
        (COLUMNS * width) as u32,
        (rows.len() * height) as u32,
        image::Luma([64]),
    );
    for (row, images) in rows.iter().enumerate() {
        for column in 0..COLUMNS {
            draw(images, column, |x, y, grey| {
                let (x, y) = (column * width + x + 1, row * height + y + 1);
                sheet.put_pixel(x as u32, y as u32, image::Luma([grey]));
            });
        }
    }
    sheet.save(&path)?;
    println!("{}: as they are, then", path.display());
    for corruption in Corruption::ALL {
        println!("  {}", corruption.name());
    }
    Ok(())
}

/// Calls `put` with every pixel of an image, as x, y and grey.
fn draw(images: &Images, number: usize, mut put: impl FnMut(usize, usize, u8)) {
    for (at, &grey) in images.image(number).unwrap_or_default().iter().enumerate() {
        put(at % images.width, at / images.width, grey);
    }
}
