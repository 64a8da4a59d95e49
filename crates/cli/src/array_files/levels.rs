//! Converts pixels that are numbers into bytes.

use crate::Error;

/// The values of white pixels in files that have 0 to 1, sklearn's 0 to 16, bytes, and 16 bits.
const USUAL: [f32; 4] = [1.0, 16.0, 255.0, 65_535.0];

/// The value of a white pixel, which becomes 255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Levels(f32);

impl Levels {
    /// The user's choice, else the smallest usual value that the pixels of a sample do not exceed.
    pub(super) fn of(
        white: Option<f32>,
        sample: impl IntoIterator<Item = f32>,
        name: &str,
    ) -> Result<Self, Error> {
        if let Some(white) = white {
            return Ok(Self(white));
        }
        let greatest = sample.into_iter().fold(0.0, f32::max);
        let usual = USUAL.into_iter().find(|white| greatest <= *white);
        usual.map(Self).ok_or_else(|| {
            let reason = format!(
                "has pixels up to {greatest}, more than 16 bits: give the value of a white pixel with --white"
            );
            Error::input(name, reason)
        })
    }

    /// The byte of a pixel.
    pub(super) fn byte(self, value: f32) -> Result<u8, String> {
        // Also without a number.
        if !(0.0..=self.0).contains(&value) {
            return Err(format!(
                "the pixel {value} is not from 0 to {}, the value of a white pixel by the first images: give raw pixels, or \
                 their greatest value with --white",
                self.0
            ));
        }
        Ok((value * (255.0 / self.0)).round() as u8)
    }

    /// What is done to pixels, unless they stay as they are.
    pub(super) fn note(self) -> Option<String> {
        let white = self.0;
        (white != 255.0).then(|| {
            format!("pixels from 0 to {white} were converted to 0 to 255; --white sets the value of a white pixel")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_pixel_of_a_sample_tells_what_is_white() {
        for (greatest, white) in [
            (0.98, 1.0),
            (1.0, 1.0),
            (16.0, 16.0),
            (17.0, 255.0),
            (256.0, 65_535.0),
        ] {
            let levels = Levels::of(None, [0.0, greatest], "a.npy").expect("usual");
            assert_eq!(levels, Levels(white), "{greatest}");
            assert_eq!((levels.byte(0.0), levels.byte(white)), (Ok(0), Ok(255)));
        }
        assert_eq!(
            Levels::of(Some(4.0), [9.0], "a.npy").expect("given"),
            Levels(4.0)
        );
        let error = Levels::of(None, [70_000.0], "a.npy").expect_err("too many");
        assert!(error.to_string().contains("--white"), "{error}");
        for value in [-0.1, 1.1, f32::NAN] {
            let error = Levels(1.0).byte(value).expect_err("outside");
            assert!(error.contains("--white"), "{error}");
        }
    }
}
