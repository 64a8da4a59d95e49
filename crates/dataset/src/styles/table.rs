//! The tables of strokes, from `table.txt` and `letters.txt`.

use crate::strokes::Vector;
use std::sync::LazyLock;

/// A way of writing a digit.
#[derive(Debug)]
pub struct Style {
    /// The digit.
    pub digit: u8,
    /// Short description, unique among those of the digit.
    pub name: &'static str,
    pub(super) glyph: Glyph,
}

/// Two extreme forms of a character, with equal numbers of strokes and points.
#[derive(Debug)]
pub(super) struct Glyph(pub(super) [Vec<Stroke>; 2]);

/// The points of a curve, in a box of 100 × 100, y downwards.
pub(super) type Stroke = Vec<Vector>;

/// All styles, digit by digit.
pub(super) static STYLES: LazyLock<Vec<Style>> = LazyLock::new(|| {
    let style = |(head, glyph): (&'static str, Glyph)| {
        let (digit, name) = head.split_once(' ').expect("a digit and a name");
        let digit = digit.parse().expect("a digit");
        Style { digit, name, glyph }
    };
    lines(include_str!("table.txt")).map(style).collect()
});

/// Letters.
pub(super) static LETTERS: LazyLock<Vec<Glyph>> = LazyLock::new(|| {
    let glyphs = lines(include_str!("letters.txt"));
    glyphs.map(|(_, glyph)| glyph).collect()
});

/// The name and the glyph of each line.
fn lines(table: &'static str) -> impl Iterator<Item = (&'static str, Glyph)> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let (head, strokes) = line.split_once(": ").expect("a name and strokes");
        let (one, other) = strokes.split_once(" | ").expect("two forms");
        let form = |strokes: &str| strokes.split("; ").map(stroke).collect();
        (head, Glyph([form(one), form(other)]))
    })
}

fn stroke(text: &str) -> Stroke {
    let point = |text: &str| {
        let (x, y) = text.split_once(',').expect("x,y");
        let [x, y] = [x, y].map(|text| text.parse::<f32>().expect("a number"));
        (x, y)
    };
    text.split(' ').map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_forms_of_a_glyph_have_the_same_points() {
        let styles = STYLES.iter().map(|style| &style.glyph);
        for glyph in styles.chain(LETTERS.iter()) {
            let points = |form: &[Stroke]| -> Vec<(usize, bool)> {
                let closed = |stroke: &Stroke| stroke.first() == stroke.last();
                form.iter().map(|it| (it.len(), closed(it))).collect()
            };
            let [one, other] = &glyph.0;
            assert_eq!(points(one), points(other), "{glyph:?}");
            assert!(points(one).iter().all(|(count, _)| *count > 1), "{glyph:?}");
            let inside = |(x, y): &Vector| (0.0..=100.0).contains(x) && (0.0..=100.0).contains(y);
            assert!(glyph.0.iter().flatten().flatten().all(inside), "{glyph:?}");
        }
    }

    #[test]
    fn every_digit_has_styles_with_names_of_their_own() {
        let mut names: Vec<_> = STYLES.iter().map(|it| (it.digit, it.name)).collect();
        assert!(names.is_sorted_by_key(|(digit, _)| *digit));
        for digit in 0..10 {
            assert!(names.iter().filter(|(of, _)| *of == digit).count() >= 5);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STYLES.len());
    }
}
