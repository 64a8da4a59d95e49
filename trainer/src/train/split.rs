//! The random split of a data set's training images, as `torch.utils.data.random_split`.

use super::mt19937::Mt19937;
use super::{Split, TrainError};
use digits_checkpoint::sha256_hex;

/// The images of the two parts, by number in the order of the draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitIndices {
    /// Images to train on.
    pub train: Vec<u32>,
    /// Images to validate on.
    pub validation: Vec<u32>,
}

impl SplitIndices {
    /// Splits `images` images by one permutation of them all; images beyond the two parts are not
    /// used.
    pub(super) fn draw(
        split: Split,
        images: usize,
        generator: &mut Mt19937,
    ) -> Result<Self, TrainError> {
        let (train, validation) = split_sizes(split, images)?;
        let mut order = generator.permutation(images);
        order.truncate(train + validation);
        let validation = order.split_off(train);
        Ok(Self {
            train: order,
            validation,
        })
    }

    /// SHA-256 in hexadecimal over the two counts (u64) and the numbers of training and validation
    /// images (u32), all little-endian.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut bytes = Vec::with_capacity(16 + 4 * (self.train.len() + self.validation.len()));
        for numbers in [&self.train, &self.validation] {
            bytes.extend_from_slice(&(numbers.len() as u64).to_le_bytes());
        }
        for number in self.train.iter().chain(&self.validation) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        sha256_hex(&bytes)
    }
}

/// Numbers of images to train on and to validate on when `images` are split, as `random_split`
/// rounds them.
///
/// # Errors
/// [`TrainError::Plan`] naming `data.split` if the split is impossible.
pub fn split_sizes(split: Split, images: usize) -> Result<(usize, usize), TrainError> {
    let refuse = |message: String| TrainError::Plan {
        field: "data.split",
        message,
    };
    let (train, validation) = match split {
        Split::Counts { train, validation } => (train, validation),
        Split::Fractions { train, validation } => {
            fractions(train, validation, images).ok_or_else(|| {
                refuse("the two shares must be from 0 to 1 and add up to 1".to_owned())
            })?
        }
    };
    if train == 0 || validation == 0 {
        return Err(refuse(format!(
            "{train} images to train on and {validation} to validate on: each needs at least one"
        )));
    }
    if train.checked_add(validation).is_none_or(|sum| sum > images) {
        return Err(refuse(format!(
            "{train} + {validation} images are more than the {images} that the data set has"
        )));
    }
    Ok((train, validation))
}

/// Each share rounded down, then one image more for each part in turn until none is left.
fn fractions(train: f64, validation: f64, images: usize) -> Option<(usize, usize)> {
    let share = |value: f64| (0.0..=1.0).contains(&value);
    if !share(train) || !share(validation) || (train + validation - 1.0).abs() > 1e-9 {
        return None;
    }
    let floor = |value: f64| (images as f64 * value).floor() as usize;
    let (first, second) = (floor(train), floor(validation));
    let left = images.checked_sub(first.checked_add(second)?)?;
    Some((first + left.div_ceil(2), second + left / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_random_split() {
        let shares = |train, validation| Split::Fractions { train, validation };
        let counts = |train, validation| Split::Counts { train, validation };
        for (split, images, expected) in [
            (shares(0.9, 0.1), 60_000, Some((54_000, 6_000))),
            // What torch.utils.data.random_split gives.
            (shares(0.9, 0.1), 105, Some((95, 10))),
            (shares(0.5, 0.5), 7, Some((4, 3))),
            (shares(0.33, 0.67), 10, Some((4, 6))),
            (shares(0.9, 0.2), 100, None),
            (shares(f64::NAN, 0.2), 100, None),
            (shares(1.0, 0.0), 100, None),
            (shares(-0.5, 1.5), 100, None),
            (counts(54_000, 6_000), 60_000, Some((54_000, 6_000))),
            (counts(1, 1), 3, Some((1, 1))),
            (counts(2, 2), 3, None),
            (counts(0, 2), 3, None),
            (counts(usize::MAX, 2), 3, None),
        ] {
            assert_eq!(split_sizes(split, images).ok(), expected, "{split:?}");
        }
    }

    #[test]
    fn parts_are_disjoint_and_every_split_has_its_own_digest() {
        let draw = |seed, train, validation| {
            SplitIndices::draw(
                Split::Counts { train, validation },
                100,
                &mut Mt19937::new(seed),
            )
            .expect("a good split")
        };
        let split = draw(1, 70, 20);
        let mut all = [split.train.clone(), split.validation.clone()].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 90);
        assert_eq!(split.digest(), draw(1, 70, 20).digest());
        for other in [draw(2, 70, 20), draw(1, 69, 21), draw(1, 70, 21)] {
            assert_ne!(split.digest(), other.digest());
        }
    }
}
