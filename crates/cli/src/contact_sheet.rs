//! Draws a contact sheet of a labelled set: as a PNG file with a row of samples for each label,
//! and, coarser, in the terminal with one sample for each.
//!
//! The samples are the first images of each label, so a set always gives the same sheet.

use crate::render::{self, Style};
use digits_dataset::{Images, LabelledImages};
use digits_figure::{Anchor, Figure, Picture, Size, raster};

/// Labels that the terminal shows.
const TERMINAL_LABELS: usize = 40;
/// Columns of a sample in the terminal.
const TERMINAL_COLUMNS: usize = 14;
/// Largest and usual side of a sample on the sheet, in pixels.
const MAX_CELL: usize = 160;
const CELL: usize = 56;
/// Pixels between two samples.
const GAP: usize = 4;
/// Room for a label, and its text's size.
const LABEL_WIDTH: usize = 120;
const LABEL_SIZE: f64 = 15.0;
const LABEL_CHARACTERS: usize = 13;
/// Default number of samples of a label; smaller for sets of many labels.
const SAMPLES: usize = 12;
const SAMPLES_OF_MANY: usize = 4;
const MANY: usize = 60;
/// Longest side of the sheet, in pixels.
const MAX_SIDE: usize = 10_000;

/// The contents of a contact sheet.
#[derive(Clone, Copy, Debug)]
pub struct ContactSheet<'a> {
    /// Images and labels.
    pub set: &'a LabelledImages,
    /// Names of the labels.
    pub names: &'a [String],
}

impl ContactSheet<'_> {
    /// Numbers of the first `most` images of each label.
    fn samples(&self, most: usize) -> Vec<Vec<usize>> {
        let mut samples = vec![Vec::new(); self.names.len()];
        for (index, &label) in self.set.labels.iter().enumerate() {
            if let Some(known) = samples.get_mut(usize::from(label))
                && known.len() < most
            {
                known.push(index);
            }
        }
        samples
    }
}

/// Draws a sample of each label, as many in a row as fit.
#[must_use]
pub fn terminal(sheet: ContactSheet<'_>, style: &Style) -> Vec<String> {
    let images = &sheet.set.images;
    let cell = Style {
        width: TERMINAL_COLUMNS.min(style.width),
        ..*style
    };
    let columns = images
        .width
        .div_ceil(images.width.div_ceil(cell.width).max(1))
        .max(6);
    let in_a_row = ((style.width + 2) / (columns + 2)).max(1);
    let samples = sheet.samples(1);
    let shown: Vec<Vec<String>> = samples
        .iter()
        .zip(sheet.names)
        .take(TERMINAL_LABELS)
        .map(|(samples, name)| {
            let mut block = vec![format!("{:<columns$}", clipped(name, columns, style))];
            let sample = samples.first().and_then(|&index| images.image(index));
            match sample {
                Some(pixels) => block.extend(render::digit(
                    Picture {
                        pixels,
                        height: images.height,
                        width: images.width,
                    },
                    &cell,
                )),
                None => block.push("(none)".to_owned()),
            }
            block
        })
        .collect();
    let mut lines = Vec::new();
    for row in shown.chunks(in_a_row) {
        let height = row.iter().map(Vec::len).max().unwrap_or(0);
        let padded = row.iter().map(|block| {
            // `side_by_side` centres blocks vertically; samples of one height stay aligned.
            let mut block = block.clone();
            block.resize(height, String::new());
            for line in &mut block {
                let missing = columns.saturating_sub(render::visible_width(line));
                line.push_str(&" ".repeat(missing));
            }
            block
        });
        let joined = padded.reduce(|left, right| render::side_by_side(&left, &right, 2));
        lines.extend(
            joined
                .into_iter()
                .flatten()
                .map(|line| line.trim_end().to_owned()),
        );
        lines.push(String::new());
    }
    lines.pop();
    let more = sheet.names.len().saturating_sub(TERMINAL_LABELS);
    if more > 0 {
        lines.push(format!("and {more} more labels: -o sheet.png shows all"));
    }
    lines
}

/// Draws a row of samples for each label, in as many columns of rows as make the sheet about
/// square.
///
/// Images are enlarged or reduced by a whole factor. At most 10,000 pixels a side: where labels or
/// samples are many, fewer samples and in the end fewer labels are drawn.
#[must_use]
pub fn png(sheet: ContactSheet<'_>, samples: Option<usize>) -> Vec<u8> {
    let layout = Layout::of(sheet, samples);
    let size = Size {
        width: layout.width as u32,
        height: layout.height as u32,
    };
    let mut figure = Figure {
        size,
        scale: 1.0,
        shapes: Vec::new(),
    };
    let extent = (layout.width as f64, layout.height as f64);
    figure.area((0.0, 0.0), extent, "#f2f2f2");
    for (index, name) in sheet.names.iter().take(layout.labels).enumerate() {
        let (left, top) = layout.row(index);
        let x = (left + LABEL_WIDTH - 8) as f64;
        let y = top as f64 + layout.scaling.height as f64 / 2.0 + LABEL_SIZE / 3.0;
        let name = cut(name, LABEL_CHARACTERS);
        figure.text((x, y), LABEL_SIZE, Anchor::End, &name);
    }
    let mut rgb = raster::rgb(&figure);
    for (index, samples) in sheet
        .samples(layout.samples)
        .iter()
        .take(layout.labels)
        .enumerate()
    {
        let (left, top) = layout.row(index);
        for (number, &sample) in samples.iter().enumerate() {
            let left = left + LABEL_WIDTH + number * (layout.scaling.width + GAP);
            layout.draw(&sheet.set.images, sample, (left, top), &mut rgb);
        }
    }
    raster::encode(size, &rgb)
}

/// Scaling of an image to a sample of the sheet.
#[derive(Clone, Copy)]
struct Scaling {
    /// Pixels of the sheet per pixel of the image; 1 for an image that is reduced.
    enlarge: usize,
    /// Pixels of the image per pixel of the sheet; 1 for an image that is enlarged.
    reduce: usize,
    height: usize,
    width: usize,
}

/// Positions, in pixels.
struct Layout {
    scaling: Scaling,
    labels: usize,
    samples: usize,
    /// Rows of labels above each other.
    rows: usize,
    width: usize,
    height: usize,
}

impl Layout {
    fn of(sheet: ContactSheet<'_>, samples: Option<usize>) -> Self {
        let images = &sheet.set.images;
        let scaling = Scaling::of(images);
        let labels = sheet.names.len().max(1);
        let default = if labels > MANY {
            SAMPLES_OF_MANY
        } else {
            SAMPLES
        };
        let fitting = (MAX_SIDE - 2 * GAP - LABEL_WIDTH) / (scaling.width + GAP);
        let samples = samples.unwrap_or(default).clamp(1, fitting.max(1));
        let block = LABEL_WIDTH + samples * (scaling.width + GAP) + GAP;
        let row = scaling.height.max(LABEL_SIZE as usize + 2) + GAP;
        // The number of blocks in a row that makes width and height about equal.
        let even = ((labels * row) as f64 / block as f64).sqrt().round() as usize;
        let most = ((MAX_SIDE - GAP) / block).max(1);
        let blocks = even.clamp(1, most);
        let rows = labels.div_ceil(blocks).min((MAX_SIDE - GAP) / row).max(1);
        let blocks = labels.div_ceil(rows).min(most);
        Self {
            scaling,
            labels: labels.min(rows * blocks),
            samples,
            rows,
            width: GAP + blocks * block,
            height: GAP + rows * row,
        }
    }

    /// Left and top of a label's row.
    fn row(&self, index: usize) -> (usize, usize) {
        let block = LABEL_WIDTH + self.samples * (self.scaling.width + GAP) + GAP;
        let row = self.scaling.height.max(LABEL_SIZE as usize + 2) + GAP;
        (
            GAP + index / self.rows * block,
            GAP + index % self.rows * row,
        )
    }

    fn draw(&self, images: &Images, index: usize, (left, top): (usize, usize), rgb: &mut [u8]) {
        let Some(pixels) = images.image(index) else {
            return;
        };
        let Scaling {
            enlarge,
            reduce,
            height,
            width,
        } = self.scaling;
        for y in 0..height {
            for x in 0..width {
                let at = (y / enlarge * reduce) * images.width + x / enlarge * reduce;
                let start = 3 * ((top + y) * self.width + left + x);
                if let (Some(&grey), Some(place)) = (pixels.get(at), rgb.get_mut(start..start + 3))
                {
                    place.fill(grey);
                }
            }
        }
    }
}

impl Scaling {
    fn of(images: &Images) -> Self {
        let longest = images.height.max(images.width).max(1);
        let enlarge = (CELL / longest).max(1);
        let reduce = longest.div_ceil(MAX_CELL);
        Self {
            enlarge,
            reduce,
            height: images.height.div_ceil(reduce) * enlarge,
            width: images.width.div_ceil(reduce) * enlarge,
        }
    }
}

/// A name of at most `most` characters, in ASCII for a terminal without Unicode.
fn clipped(name: &str, most: usize, style: &Style) -> String {
    let shown: String = match style.unicode {
        true => name.to_owned(),
        false => name
            .chars()
            .map(|it| if it.is_ascii() { it } else { '?' })
            .collect(),
    };
    cut(&shown, most)
}

fn cut(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    let start: String = name.chars().take(most.saturating_sub(2)).collect();
    format!("{start}..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_dataset::numbered_names;

    /// Two images for each label but the last, whose pixels are 10 times the label.
    fn set(labels: u16, height: usize, width: usize) -> (LabelledImages, Vec<String>) {
        let of: Vec<u16> = (0..2 * (labels - 1)).map(|index| index / 2).collect();
        let images = Images {
            count: of.len(),
            height,
            width,
            pixels: of
                .iter()
                .flat_map(|&label| vec![(label * 10).min(250) as u8; height * width])
                .collect(),
        };
        (
            LabelledImages { images, labels: of },
            numbered_names(labels.into()),
        )
    }

    #[test]
    fn the_terminal_shows_a_sample_of_each_label() {
        let (set, names) = set(3, 4, 6);
        let sheet = ContactSheet {
            set: &set,
            names: &names,
        };
        let lines = terminal(sheet, &Style::plain(22));
        assert_eq!(
            lines,
            [
                "0       1       2",
                "        ......  (none)",
                "        ......"
            ]
        );
        let narrow = terminal(sheet, &Style::plain(7));
        assert_eq!(narrow[..4], ["0", "", "", ""]);
    }

    #[test]
    fn all_of_many_labels_are_on_the_sheet_and_some_in_the_terminal() {
        let (set, names) = set(1_000, 20, 12);
        let sheet = ContactSheet {
            set: &set,
            names: &names,
        };
        let lines = terminal(sheet, &Style::plain(80));
        assert_eq!(
            lines.last().map(String::as_str),
            Some("and 960 more labels: -o sheet.png shows all")
        );
        let layout = Layout::of(sheet, None);
        assert_eq!((layout.labels, layout.samples), (1_000, 4));
        assert!(layout.width.max(layout.height) <= MAX_SIDE);
    }

    #[test]
    fn samples_are_drawn_where_the_layout_places_them() {
        let (set, names) = set(11, 20, 12);
        let sheet = ContactSheet {
            set: &set,
            names: &names,
        };
        let bytes = png(sheet, Some(2));
        let image = image::load_from_memory(&bytes).expect("a PNG").to_rgb8();
        let layout = Layout::of(sheet, Some(2));
        assert_eq!((layout.scaling.width, layout.scaling.height), (24, 40));
        assert_eq!(
            image.dimensions(),
            (layout.width as u32, layout.height as u32)
        );
        for label in 0..10 {
            let (left, top) = layout.row(label);
            let left = left + LABEL_WIDTH + 24 + GAP;
            let at = |x: usize, y: usize| image.get_pixel((left + x) as u32, (top + y) as u32).0;
            assert_eq!(at(0, 0), [label as u8 * 10; 3]);
            assert_eq!(at(23, 39), [label as u8 * 10; 3]);
            assert_eq!(at(24, 0), [0xf2; 3], "right of the last sample");
        }
    }

    #[test]
    fn a_sheet_of_images_of_any_size_is_within_bounds() {
        for (labels, height, width) in [(2, 1, 1), (2, 1, 4_096), (3, 1_024, 1_024), (900, 60, 60)]
        {
            let (set, names) = set(labels, height, width);
            let sheet = ContactSheet {
                set: &set,
                names: &names,
            };
            for samples in [None, Some(1), Some(50)] {
                let layout = Layout::of(sheet, samples);
                assert!(
                    layout.width.max(layout.height) <= MAX_SIDE,
                    "{height}x{width}"
                );
                assert!(layout.labels > 0 && layout.samples > 0);
            }
        }
    }
}
