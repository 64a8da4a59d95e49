//! Draws small grey pictures with captions in a grid, as a PNG file.

use crate::{
    raster,
    shapes::{Anchor, Figure, Size},
};

const COLUMNS: usize = 4;
/// Pixels that a picture's longer side has at least.
const SIDE: usize = 168;
const MARGIN: usize = 16;
/// Pixels below a picture for its caption.
const CAPTION: usize = 42;
const TEXT: f64 = 13.0;
const LINE: f64 = 17.0;

/// A grey picture, row by row, 0 for background and 255 for full ink.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// height × width bytes.
    pub pixels: &'a [u8],
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
}

impl Picture<'_> {
    fn is_complete(&self) -> bool {
        self.height.checked_mul(self.width) == Some(self.pixels.len())
    }
}

/// A picture and two lines below it.
#[derive(Clone, Debug)]
pub struct Captioned<'a> {
    /// The picture; drawn as an empty field where the number of its pixels is not height × width.
    pub picture: Picture<'a>,
    /// The two lines of text.
    pub caption: [String; 2],
}

/// A drawn picture.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Its size.
    pub size: Size,
    /// A PNG file.
    pub png: Vec<u8>,
}

/// Positions of the cells.
struct Grid {
    /// Pixels of the grid for one of a picture.
    factor: usize,
    /// Size of a cell in pixels.
    width: usize,
    height: usize,
}

/// Draws the pictures, all of the first one's size, in rows of four. Where the first one has no
/// pixels, as those of large images are left out, the fields are small.
#[must_use]
pub fn picture_grid(pictures: &[Captioned<'_>]) -> Drawing {
    let first = pictures.first().map(|one| one.picture);
    let first = first.filter(|it| !it.pixels.is_empty() && it.is_complete());
    let (height, width) = first.map_or((1, 1), |it| (it.height, it.width));
    let factor = (SIDE / height.max(width)).max(1);
    let grid = Grid {
        factor,
        width: (width * factor).max(SIDE) + MARGIN,
        height: height * factor + CAPTION + MARGIN,
    };
    let columns = pictures.len().clamp(1, COLUMNS);
    let rows = pictures.len().div_ceil(columns).max(1);
    let size = Size {
        width: (columns * grid.width + MARGIN) as u32,
        height: (rows * grid.height + MARGIN) as u32,
    };
    let mut figure = Figure {
        size,
        scale: 1.0,
        shapes: Vec::new(),
    };
    let extent = (f64::from(size.width), f64::from(size.height));
    figure.area((0.0, 0.0), extent, "#ffffff");
    for (number, one) in pictures.iter().enumerate() {
        let (x, y) = grid.place(number, columns);
        for (line, text) in (1..).zip(&one.caption) {
            let below = (y + height * factor) as f64 + f64::from(line) * LINE;
            figure.text((x as f64, below), TEXT, Anchor::Start, text);
        }
    }
    let mut canvas = raster::rgb(&figure);
    for (number, one) in pictures.iter().enumerate() {
        grid.paint(one.picture, grid.place(number, columns), &mut canvas, size);
    }
    let png = raster::encode(size, &canvas);
    Drawing { size, png }
}

impl Grid {
    /// Left and top of a picture.
    fn place(&self, number: usize, columns: usize) -> (usize, usize) {
        (
            MARGIN + number % columns * self.width,
            MARGIN + number / columns * self.height,
        )
    }

    fn paint(&self, picture: Picture<'_>, at: (usize, usize), canvas: &mut [u8], size: Size) {
        if !picture.is_complete() {
            return;
        }
        for row in 0..picture.height * self.factor {
            for column in 0..picture.width * self.factor {
                let from = row / self.factor * picture.width + column / self.factor;
                let to = (at.1 + row) * size.width as usize + at.0 + column;
                if let Some(pixel) = canvas.get_mut(3 * to..3 * to + 3) {
                    pixel.fill(picture.pixels[from]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_their_captions_below_them() {
        let pixels: Vec<u8> = (0..784).map(|at| if at == 0 { 200 } else { 0 }).collect();
        let picture = Picture {
            pixels: &pixels,
            height: 28,
            width: 28,
        };
        let one = Captioned {
            picture,
            caption: ["247: 4, predicted 6".to_owned(), "93 %".to_owned()],
        };
        let drawn = picture_grid(&vec![one; 5]);
        let image = image::load_from_memory(&drawn.png)
            .expect("a PNG")
            .into_rgb8();
        assert_eq!(image.dimensions(), (4 * 184 + 16, 2 * 226 + 16));
        assert_eq!(image.dimensions(), (drawn.size.width, drawn.size.height));
        // The first pixel of the picture is six by six of the grid's.
        for (x, y, grey) in [(15, 15, 255), (16, 16, 200), (21, 21, 200), (22, 22, 0)] {
            assert_eq!(image.get_pixel(x, y).0, [grey; 3], "{x}, {y}");
        }
        assert_eq!(image.get_pixel(16, 242).0, [200; 3], "the second row");
        let ink = |top: u32| {
            let caption = (16..180).flat_map(|x| (top..top + 42).map(move |y| (x, y)));
            caption
                .filter(|&(x, y)| image.get_pixel(x, y).0[0] < 128)
                .count()
        };
        assert!(ink(184) > 50, "{} dark pixels of text", ink(184));
        let _ = picture_grid(&[]);
    }

    #[test]
    fn large_images_without_their_pixels_do_not_make_a_large_grid() {
        let picture = Picture {
            pixels: &[],
            height: 4_096,
            width: 4_096,
        };
        let one = Captioned {
            picture,
            caption: ["3: 1".to_owned(), "predicted 2 (80.0 %)".to_owned()],
        };
        let Size { width, height } = picture_grid(&vec![one; 16]).size;
        assert_eq!((width, height), (4 * 184 + 16, 4 * 226 + 16));
    }
}
