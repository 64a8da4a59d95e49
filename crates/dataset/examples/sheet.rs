//! Draws a contact sheet of the synthetic digits: a row of examples for each digit.
//!
//! `cargo run --release -p digits-dataset --example sheet -- sheet.png [seed]`

use anyhow::Context as _;
use digits_dataset::synthetic::{self, SIDE};
use std::path::PathBuf;

const COLUMNS: usize = 24;
const CELL: usize = SIDE + 2;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().context("name the PNG file to write")?);
    let seed = arguments
        .next()
        .map_or(Ok(0), |seed| seed.parse())
        .context("seed")?;
    let drawn = synthetic::generate(&synthetic::Options {
        train: 1_000,
        test: 1,
        seed,
    });

    let mut sheet = image::GrayImage::from_pixel(
        (COLUMNS * CELL) as u32,
        (drawn.classes() * CELL) as u32,
        image::Luma([64]),
    );
    let mut filled = vec![0; drawn.classes()];
    for (index, &label) in drawn.train.labels.iter().enumerate() {
        let label = usize::from(label);
        let column = filled[label];
        if column == COLUMNS {
            continue;
        }
        filled[label] += 1;
        let image = drawn
            .train
            .images
            .image(index)
            .context("an image for each label")?;
        for (place, &grey) in image.iter().enumerate() {
            let x = column * CELL + 1 + place % SIDE;
            let y = label * CELL + 1 + place / SIDE;
            sheet.put_pixel(x as u32, y as u32, image::Luma([grey]));
        }
    }
    sheet.save(&path)?;
    println!("{}: {COLUMNS} of each digit, seed {seed}", path.display());
    Ok(())
}
