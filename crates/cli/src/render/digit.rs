//! Draws a grey picture in the terminal, two rows of pixels to a line.

use super::{Color, Style};
use digits_figure::Picture;

/// From no ink to full ink.
const RAMP: &[u8; 10] = b" .:-=+*#%@";

/// Draws a picture: in half blocks where the style has colours and Unicode, else in characters from
/// blank to `@`. A picture that is wider than the style is reduced by a whole factor. Empty where
/// the number of pixels is not height × width.
#[must_use]
pub fn digit(picture: Picture<'_>, style: &Style) -> Vec<String> {
    let Picture {
        pixels,
        height,
        width,
    } = picture;
    if width == 0 || height == 0 || pixels.len() != height * width {
        return Vec::new();
    }
    let factor = width.div_ceil(style.width.max(1));
    let (rows, columns) = (height.div_ceil(factor), width.div_ceil(factor));
    let mut reduced = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        for column in 0..columns {
            reduced.push(mean_of_square(
                picture,
                row * factor,
                column * factor,
                factor,
            ));
        }
    }
    let blocks = style.unicode && style.color != Color::None;
    reduced
        .chunks(2 * columns)
        .map(|pair| {
            let (upper, lower) = pair.split_at(columns);
            let pairs = upper.iter().enumerate().map(|(column, &above)| {
                // An odd last row has background below it.
                (above, lower.get(column).copied().unwrap_or(0))
            });
            if blocks {
                half_blocks(pairs, style.color)
            } else {
                characters(pairs)
            }
        })
        .collect()
}

fn mean_of_square(picture: Picture<'_>, top: usize, left: usize, side: usize) -> u8 {
    let (mut sum, mut count) = (0_u32, 0_u32);
    for row in top..(top + side).min(picture.height) {
        let line = &picture.pixels[row * picture.width..][..picture.width];
        for &pixel in &line[left..(left + side).min(picture.width)] {
            sum += u32::from(pixel);
            count += 1;
        }
    }
    // A mean of bytes is a byte.
    (sum / count.max(1)) as u8
}

fn characters(pairs: impl Iterator<Item = (u8, u8)>) -> String {
    let line: String = pairs
        .map(|(above, below)| {
            let level = (usize::from(above) + usize::from(below)) * (RAMP.len() - 1);
            char::from(RAMP[level.div_ceil(2 * 255)])
        })
        .collect();
    line.trim_end().to_owned()
}

fn half_blocks(pairs: impl Iterator<Item = (u8, u8)>, color: Color) -> String {
    let mut line = String::new();
    let mut last = None;
    for pair in pairs {
        if last != Some(pair) {
            let (above, below) = pair;
            let code = match color {
                Color::TrueColor => {
                    format!("38;2;{above};{above};{above};48;2;{below};{below};{below}")
                }
                _ => format!("38;5;{};48;5;{}", grey(above), grey(below)),
            };
            line.push_str(&format!("\u{1b}[{code}m"));
            last = Some(pair);
        }
        line.push('▀');
    }
    line.push_str("\u{1b}[0m");
    line
}

/// Nearest of xterm's greys: black, 24 steps, white.
fn grey(level: u8) -> u8 {
    match (usize::from(level) * 25 + 127) / 255 {
        0 => 16,
        25 => 231,
        step => 231 + step as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROSS: [u8; 9] = [0, 255, 0, 255, 255, 255, 0, 128, 0];

    fn check(pixels: &[u8], height: usize, style: Style, expected: &[&str]) {
        let width = pixels.len() / height;
        assert_eq!(
            digit(
                Picture {
                    pixels,
                    height,
                    width
                },
                &style
            ),
            expected
        );
    }

    #[test]
    fn pictures_are_drawn_in_characters_and_half_blocks() {
        check(&CROSS, 3, Style::plain(80), &["+@+", " -"]);
        let color = |color| Style {
            color,
            unicode: true,
            width: 80,
        };
        check(
            &[0, 255, 255, 255],
            2,
            color(Color::TrueColor),
            &[
                "\u{1b}[38;2;0;0;0;48;2;255;255;255m▀\u{1b}[38;2;255;255;255;48;2;255;255;255m▀\u{1b}[0m",
            ],
        );
        check(
            &[0, 0, 128, 128],
            2,
            color(Color::Ansi256),
            &["\u{1b}[38;5;16;48;5;244m▀▀\u{1b}[0m"],
        );
    }

    #[test]
    fn wide_pictures_are_reduced() {
        let picture = Picture {
            pixels: &[255; 64 * 64],
            height: 64,
            width: 64,
        };
        let lines = digit(picture, &Style::plain(20));
        assert_eq!((lines.len(), lines[0].len()), (8, 16));
    }

    #[test]
    fn a_picture_of_a_wrong_size_draws_nothing() {
        let picture = Picture {
            pixels: &[1, 2, 3],
            height: 2,
            width: 2,
        };
        assert!(digit(picture, &Style::plain(80)).is_empty());
    }

    #[test]
    fn greys_cover_the_range() {
        for (level, index) in [(0, 16), (10, 232), (245, 255), (255, 231)] {
            assert_eq!(grey(level), index, "{level}");
        }
    }
}
