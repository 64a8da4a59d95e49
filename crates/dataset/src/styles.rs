//! Digits as they are written in different countries, drawn from a table of strokes in the form of
//! MNIST's images: for training and tests beyond the American hands of MNIST.
//!
//! The table (`styles/table.txt`) has for each digit its common forms: ones with a long flag, a foot
//! or both; sevens with a bar across, a serif or a wavy roof; open and closed fours; nines with a
//! straight stem or a curl; twos with and without a loop; slashed zeros. An image bends a style at
//! random: slant, width, rotation, bows, the position of every point, the ends of strokes and the
//! pen vary. The forms follow descriptions; the strokes are drawn for this table and copied from no
//! font and no collection of handwriting:
//!
//! * Wikipedia, "Regional handwriting variation", section on Western Arabic numerals: long flags and
//!   feet of ones, curly twos, flat threes, open fours, crossed sevens and those with a serif or a
//!   wave, slashed zeros, hooked nines, and where they are usual.
//! * J. R. Ward, T. Kuklinski, "A model for variability effects in handprinting", IEEE Transactions
//!   on Systems, Man, and Cybernetics 18 (1988): what varies within a form (order and ends of
//!   strokes, loops that open, retraced lines).
//! * N. Rosengren, "Allograph-based categorization of handwriting styles", University of Lund 2002:
//!   the same character has several models, which differ between countries.
//! * E. Johnston, "Writing & Illuminating, & Lettering", London 1906: pens. One digit in six is
//!   written with a pointed pen, whose downstrokes are thick and whose other strokes are hairlines,
//!   as round hands and French schools teach.
//!
//! An image is a function of the style, the key and the size alone, and the same on every platform:
//! only IEEE 754's exactly specified operations are used. A test pins the bytes.

mod draw;
mod hand;
mod table;

pub use table::Style;

use crate::random::Random;

/// All styles, digit by digit.
#[must_use]
pub fn all() -> &'static [Style] {
    &table::STYLES
}

/// The digit that each label names; `None` if one names no digit.
#[must_use]
pub fn digits(label_names: &[String]) -> Option<Vec<u8>> {
    let digit = |name: &String| match name.as_bytes() {
        [digit @ b'0'..=b'9'] => Some(digit - b'0'),
        _ => None,
    };
    label_names.iter().map(digit).collect()
}

/// Draws `digit`, below 10, in one of its styles, as (height × width) bytes of light ink on black;
/// another key chooses another style and hand. About 15 µs for 28 × 28 pixels.
///
/// # Panics
///
/// When there is no such digit: a bug of the caller.
#[must_use]
pub fn draw(digit: u8, key: u64, size: (usize, usize)) -> Vec<u8> {
    let first = all().partition_point(|style| style.digit < digit);
    let end = all().partition_point(|style| style.digit <= digit);
    assert!(first < end, "{digit} is no digit");
    let mut random = Random::of(key, STREAM, 0);
    let style = &all()[first + random.below(end - first)];
    draw::draw(hand::write(&style.glyph, &mut random), size, &mut random)
}

/// Draws a letter that looks like no digit, as [`draw`] draws digits.
#[must_use]
pub fn draw_letter(key: u64, size: (usize, usize)) -> Vec<u8> {
    let mut random = Random::of(key, STREAM, 2);
    let glyph = &table::LETTERS[random.below(table::LETTERS.len())];
    draw::draw(hand::write(glyph, &mut random), size, &mut random)
}

impl Style {
    /// Draws image `number` of this style for tests, as [`draw`] does. No key of [`draw`] gives its
    /// random numbers.
    #[must_use]
    pub fn held_out(&self, number: u64, size: (usize, usize)) -> Vec<u8> {
        let mut random = Random::of(number, STREAM, 1);
        draw::draw(hand::write(&self.glyph, &mut random), size, &mut random)
    }
}

/// Keeps the streams apart from those of the synthetic digits and the corruptions.
const STREAM: u64 = 1 << 33;

#[cfg(test)]
mod tests;
