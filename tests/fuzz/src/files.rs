//! Files of users: data sets and pictures.

use digits_dataset::idx as format;
use digits_picture::{Limits, Normalized, Normalizer, PictureFile, Recipe, decode, weigh};

const SIDE: usize = 28;
/// Small, so that an input takes milliseconds.
const LIMITS: Limits = Limits {
    max_pixels: 1 << 20,
    max_memory: 64 << 20,
};

/// Images and labels in IDX files.
pub fn idx(data: &[u8]) {
    if let Ok(images) = format::parse_images(data, "images") {
        assert_eq!(images.pixels.len(), images.count * images.image_size());
    }
    let _ = format::parse_labels(data, "labels");
}

/// A picture, and what both ways of normalizing make of it.
pub fn pictures(data: &[u8]) {
    let opened = PictureFile::open(data, LIMITS).is_ok();
    let _ = weigh(data, LIMITS);
    let Ok(picture) = decode(data, LIMITS) else {
        return;
    };
    assert!(opened);
    for recipe in [Recipe::Mnist, Recipe::ScaleOnly] {
        let normalizer = Normalizer {
            height: SIDE,
            width: SIDE,
            recipe,
        };
        for normalized in [
            normalizer.picture(&picture),
            normalizer.number(&picture, 64),
        ] {
            match normalized {
                Normalized::Input(input) => assert_eq!(input.len(), SIDE * SIDE),
                Normalized::Written(lattice) => {
                    let segments = lattice.lines.iter().flat_map(|line| &line.segments);
                    assert!(segments.count() <= 64);
                }
                Normalized::Blank | Normalized::Several(_) => {}
            }
        }
    }
}
