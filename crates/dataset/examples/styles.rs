//! Draws a contact sheet of the ways of writing the digits: a row for each, whose name is printed.
//!
//! `cargo run -p digits-dataset --example styles -- sheet.png`

use anyhow::Context as _;
use digits_dataset::styles;

const SIDE: usize = 28;
const COLUMNS: usize = 24;
/// Side of an image with its margin.
const CELL: usize = SIDE + 2;

fn main() -> anyhow::Result<()> {
    let path = std::env::args()
        .nth(1)
        .context("name the PNG file to write")?;
    let styles = styles::all();
    let size = [COLUMNS * CELL, styles.len() * CELL].map(|side| side as u32);
    let mut sheet = image::GrayImage::from_pixel(size[0], size[1], image::Luma([64]));
    for (row, style) in styles.iter().enumerate() {
        println!("{:>3} {} {}", row + 1, style.digit, style.name);
        for column in 0..COLUMNS {
            let image = style.held_out(column as u64, (SIDE, SIDE));
            for (place, &grey) in image.iter().enumerate() {
                let x = column * CELL + 1 + place % SIDE;
                let y = row * CELL + 1 + place / SIDE;
                sheet.put_pixel(x as u32, y as u32, image::Luma([grey]));
            }
        }
    }
    sheet.save(&path)?;
    Ok(())
}
