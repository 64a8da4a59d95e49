//! A generated data set.

use digits_dataset::{Dataset, Images, LabelledImages};
use digits_trainer::train::mt19937::Mt19937;

/// Small images: a pattern of each class with noise.
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
                pixels: pixels.into(),
            },
            labels,
        }
    };
    let (train, test) = (part(images), part(images / 4 + 1));
    let names = (0..classes).map(|label| label.to_string()).collect();
    Dataset::new("patterns", train, test, names).expect("a good data set")
}
