//! Draws photographs of a 7 and encodes them as programs and phones do, and decodes them whole.

use image::{ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};
use mozjpeg::{ColorSpace, Compress, Decompress};

/// A picture as people send it.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Grey, the size of MNIST's images.
    SmallPng,
    /// A canvas of a page, in colour with transparency.
    CanvasPng,
    /// A webcam's.
    WebcamJpeg,
    /// A phone's, of 12 megapixels, as JPEG, as progressive JPEG and as PNG.
    PhoneJpeg,
    /// As [`Kind::PhoneJpeg`], progressive.
    PhoneProgressive,
    /// As [`Kind::PhoneJpeg`], as PNG.
    PhonePng,
    /// A phone's, of 50 megapixels.
    LargeJpeg,
}

impl Kind {
    /// All kinds, from small to large.
    pub const ALL: [Self; 7] = [
        Self::SmallPng,
        Self::CanvasPng,
        Self::WebcamJpeg,
        Self::PhoneJpeg,
        Self::PhoneProgressive,
        Self::PhonePng,
        Self::LargeJpeg,
    ];

    /// What it is called in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::SmallPng => "28 × 28 PNG",
            Self::CanvasPng => "280 × 280 PNG",
            Self::WebcamJpeg => "640 × 480 JPEG",
            Self::PhoneJpeg => "4000 × 3000 JPEG",
            Self::PhoneProgressive => "4000 × 3000 progressive JPEG",
            Self::PhonePng => "4000 × 3000 PNG",
            Self::LargeJpeg => "8160 × 6120 JPEG",
        }
    }

    /// Name of its file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::SmallPng => "28.png",
            Self::CanvasPng => "280.png",
            Self::WebcamJpeg => "640.jpg",
            Self::PhoneJpeg => "4000.jpg",
            Self::PhoneProgressive => "4000-progressive.jpg",
            Self::PhonePng => "4000.png",
            Self::LargeJpeg => "8160.jpg",
        }
    }

    /// The file.
    pub fn encoded(self) -> Vec<u8> {
        match self {
            Self::SmallPng => png(&canvas(28), 28, ExtendedColorType::L8),
            Self::CanvasPng => {
                let pixels = canvas(280)
                    .into_iter()
                    .flat_map(|grey| [grey, grey, grey, 255]);
                png(&pixels.collect::<Vec<u8>>(), 280, ExtendedColorType::Rgba8)
            }
            Self::WebcamJpeg => jpeg(640, 480, false),
            Self::PhoneJpeg => jpeg(4000, 3000, false),
            Self::PhoneProgressive => jpeg(4000, 3000, true),
            Self::PhonePng => png(&photo(4000, 3000), 4000, ExtendedColorType::Rgb8),
            Self::LargeJpeg => jpeg(8160, 6120, false),
        }
    }
}

/// Ink at a place of a picture whose sides are 1: a 7 of a third of the height.
fn ink(x: f32, y: f32, soft: f32) -> f32 {
    let strokes = [((0.4, 0.35), (0.6, 0.35)), ((0.6, 0.35), (0.47, 0.68))];
    let distance = strokes.iter().map(|&((ax, ay), (bx, by))| {
        let (dx, dy): (f32, f32) = (bx - ax, by - ay);
        let along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
        (x - ax - along * dx).hypot(y - ay - along * dy)
    });
    ((0.025 - distance.fold(f32::INFINITY, f32::min)) / soft + 0.5).clamp(0.0, 1.0)
}

/// Dark ink on white, in grey.
fn canvas(side: usize) -> Vec<u8> {
    let place = |at: usize| (at as f32 + 0.5) / side as f32;
    let pixel = |at: usize| ink(place(at % side), place(at / side), 1.0 / side as f32);
    (0..side * side)
        .map(|at| (255.0 * (1.0 - pixel(at))) as u8)
        .collect()
}

/// Paper in uneven, warm light with a sensor's noise, RGB.
fn photo(width: usize, height: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut noise = move || {
        // Four numbers of a byte added: about normal, with a deviation of 3 levels.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let bytes: i32 = (state >> 8).to_le_bytes().into_iter().map(i32::from).sum();
        (bytes - 382) as f32 / 40.0
    };
    let mut pixels = Vec::with_capacity(width * height * 3);
    for row in 0..height {
        let y = (row as f32 + 0.5) / height as f32;
        for column in 0..width {
            let x = (column as f32 + 0.5) / width as f32;
            let light = 215.0 - 60.0 * x - 25.0 * y * y;
            let level = light * (1.0 - 0.75 * ink(x, y, 3.0 / width as f32));
            pixels.extend([1.0, 0.96, 0.88].map(|tint| (level * tint + noise()) as u8));
        }
    }
    pixels
}

fn png(pixels: &[u8], side: u32, colours: ExtendedColorType) -> Vec<u8> {
    let pixel = usize::from(colours.bits_per_pixel()) / 8;
    let rows = (pixels.len() / pixel) as u32 / side;
    let mut encoded = Vec::new();
    PngEncoder::new(&mut encoded)
        .write_image(pixels, side, rows, colours)
        .expect("a picture in memory can be written");
    encoded
}

/// With half the resolution in colour, as cameras write it.
fn jpeg(width: usize, height: usize, progressive: bool) -> Vec<u8> {
    let mut file = Compress::new(ColorSpace::JCS_RGB);
    file.set_size(width, height);
    file.set_fastest_defaults();
    file.set_quality(90.0);
    file.set_chroma_sampling_pixel_sizes((2, 2), (2, 2));
    if progressive {
        file.set_progressive_mode();
    }
    let mut file = file
        .start_compress(Vec::new())
        .expect("a picture in memory can be written");
    file.write_scanlines(&photo(width, height))
        .expect("a picture in memory can be written");
    file.finish().expect("a picture in memory can be written")
}

/// The pixels of the whole picture, without further work. JPEG: at the scale at which the service
/// reads it.
pub fn bare(encoded: &[u8]) -> Vec<u8> {
    if !encoded.starts_with(b"\xff\xd8") {
        let picture = image::load_from_memory(encoded);
        return picture.expect("a picture").into_bytes();
    }
    let mut file = Decompress::new_mem(encoded).expect("a picture");
    let longest = file.width().max(file.height());
    let enough = |scale: &usize| longest * scale >= 640 * 8;
    file.scale([1, 2, 4].into_iter().find(enough).unwrap_or(8) as u8);
    let mut file = file.rgb().expect("a picture");
    file.read_scanlines().expect("a picture")
}
