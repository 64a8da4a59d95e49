//! Error on handwriting that is not MNIST's, by collection and digit. `make bench-hands` makes the
//! collections, trains the presets and runs it.
//!
//! `hands COLLECTIONS NAME=STORAGE…`: COLLECTIONS is a folder with one folder for each collection,
//! in which the pictures of digit 7 are `7/*.png`. They pass through the service's normalizer. A
//! picture of which no single digit is read counts as an error.

#[path = "../pictures/net.rs"]
mod net;

use anyhow::{Context as _, bail, ensure};
use digits_picture::{Limits, Normalized, Normalizer, Recipe, decode};
use net::{Net, head, row};
use std::{fs, path::Path};

const NORMALIZER: Normalizer = Normalizer {
    height: 28,
    width: 28,
    recipe: Recipe::Mnist,
};

/// The digit and the normalized picture; `None` where no single digit was found.
type Input = (usize, Option<Vec<u8>>);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let Some((collections, nets)) = arguments.split_first().filter(|(_, nets)| !nets.is_empty())
    else {
        bail!("usage: hands COLLECTIONS NAME=STORAGE…");
    };
    let nets = net::open_all(nets)?;
    for (name, folder) in children(Path::new(collections))? {
        let inputs = collection(&folder)?;
        println!();
        head(&format!("{name}, {} pictures", inputs.len()), &nets);
        errors("all digits", &inputs, &nets);
        for digit in 0..10 {
            let of_digit: Vec<Input> = inputs
                .iter()
                .filter(|(truth, _)| *truth == digit)
                .cloned()
                .collect();
            if !of_digit.is_empty() {
                errors(&format!("  {digit}"), &of_digit, &nets);
            }
        }
    }
    Ok(())
}

fn errors(name: &str, inputs: &[Input], nets: &[Net]) {
    row(name, nets.iter().map(|net| net.error(inputs)));
}

/// The entries of a folder by name.
fn children(folder: &Path) -> anyhow::Result<Vec<(String, std::path::PathBuf)>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut children = entries
        .map(|entry| {
            let entry = entry?;
            Ok((
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            ))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    children.sort();
    Ok(children)
}

fn collection(folder: &Path) -> anyhow::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for (digit, folder) in children(folder)? {
        let digit: usize = digit
            .parse()
            .with_context(|| folder.display().to_string())?;
        for (_, path) in children(&folder)? {
            let picture = decode(&fs::read(&path)?, Limits::default())
                .with_context(|| path.display().to_string())?;
            let input = match NORMALIZER.picture(&picture) {
                Normalized::Input(pixels) => Some(pixels),
                Normalized::Blank | Normalized::Several(_) | Normalized::Written(_) => None,
            };
            inputs.push((digit, input));
        }
    }
    ensure!(!inputs.is_empty(), "{} has no pictures", folder.display());
    Ok(inputs)
}
