//! Glyphs of the digits, from `glyphs.txt`: several styles of each, with one or more strokes.

use std::sync::LazyLock;

/// x and y in a box of 100 × 100, y downwards.
pub(super) type Point = (u8, u8);
/// The points of a curve.
pub(super) type Stroke = Vec<Point>;
/// The strokes of a digit.
pub(super) type Glyph = Vec<Stroke>;

/// The styles of each digit.
pub(super) static STYLES: LazyLock<[Vec<Glyph>; 10]> = LazyLock::new(|| {
    let mut styles = <[Vec<Glyph>; 10]>::default();
    let lines = include_str!("glyphs.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let (digit, strokes) = line.split_once(": ").expect("a digit and its strokes");
        let digit: usize = digit.parse().expect("a digit");
        styles[digit].push(strokes.split("; ").map(stroke).collect());
    }
    styles
});

fn stroke(text: &str) -> Stroke {
    let coordinate = |text: &str| text.parse().expect("a number below 256");
    let point = |text: &str| {
        let (x, y) = text.split_once(',').expect("x,y");
        (coordinate(x), coordinate(y))
    };
    text.split(' ').map(point).collect()
}
