//! Tests of picture files in the formats that clients send.

use super::super::*;
use image::{
    Delay, DynamicImage, Frame, ImageFormat, Rgba, RgbaImage,
    codecs::gif::{GifEncoder, Repeat},
};
use std::io::Cursor;

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("encodes");
    bytes.into_inner()
}

#[test]
fn all_supported_formats_are_decoded() {
    let picture = RgbaImage::from_fn(30, 20, |x, y| Rgba([x as u8 * 8, y as u8 * 12, 200, 255]));
    let image = DynamicImage::ImageRgba8(picture);
    let limits = Limits::default();
    let lossless = [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp];
    let expected = decode(&encoded(&image, ImageFormat::Png), limits).expect("png");
    assert_eq!((expected.width, expected.height), (30, 20));
    for format in lossless {
        assert_eq!(
            decode(&encoded(&image, format), limits).as_ref(),
            Ok(&expected),
            "{format:?}"
        );
    }
    let interlaced = include_bytes!("../samples/interlaced.png");
    assert_eq!(decode(interlaced, limits).as_ref(), Ok(&expected));
    for format in [ImageFormat::Jpeg, ImageFormat::Gif] {
        let opaque = if format == ImageFormat::Jpeg {
            DynamicImage::ImageRgb8(image.to_rgb8())
        } else {
            image.clone()
        };
        let picture = decode(&encoded(&opaque, format), limits).expect("lossy");
        assert_eq!((picture.width, picture.height), (30, 20), "{format:?}");
    }
    let sixteen = DynamicImage::ImageLuma16(image::ImageBuffer::from_fn(4, 1, |x, _| {
        image::Luma([x as u16 * 21_845])
    }));
    let picture = decode(&encoded(&sixteen, ImageFormat::Png), limits).expect("16 bit");
    assert_eq!(picture.luma().to_bytes(), [0, 85, 170, 255]);
}

#[test]
fn bad_pictures_are_refused() {
    let good = encoded(
        &DynamicImage::ImageRgba8(RgbaImage::new(40, 40)),
        ImageFormat::Png,
    );
    let limits = Limits {
        max_pixels: 10_000,
        ..Limits::default()
    };
    let mut huge = good.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0x9c, 0x40, 0, 0, 0x9c, 0x40]);
    let wide = encoded(&DynamicImage::new_rgb8(101, 100), ImageFormat::Bmp);
    let too_large = |width, height| DecodeError::TooLarge {
        width,
        height,
        limit: 10_000,
    };
    let cases: [(&str, &[u8], DecodeError); 7] = [
        ("empty", &[], DecodeError::Empty),
        ("text", b"seven", DecodeError::Format),
        ("truncated", &good[..good.len() / 2], DecodeError::Damaged),
        ("header only", &good[..30], DecodeError::Damaged),
        ("40,000 x 40,000", &huge, too_large(40_000, 40_000)),
        ("a row too many", &wide, too_large(101, 100)),
        (
            "jpeg cut off",
            &[0xff, 0xd8, 0xff, 0xe0, 0, 16],
            DecodeError::Damaged,
        ),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(decode(bytes, limits).err(), Some(expected), "{name}");
    }
}

/// As today's cameras and phones make them: row by row, in much less memory than their pixels take.
#[test]
fn fifty_megapixels_are_decoded() {
    let (width, height) = (8_160, 6_120);
    let mut file = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut file, width, height);
    encoder.set_depth(::png::BitDepth::One);
    let mut writer = encoder.write_header().expect("a header");
    // The left half is black.
    let row: Vec<u8> = (0..width / 8)
        .map(|at| if at < width / 16 { 0 } else { 255 })
        .collect();
    writer
        .write_image_data(&row.repeat(height as usize))
        .expect("encodes");
    writer.finish().expect("encodes");
    let opened = PictureFile::open(&file, Limits::default()).expect("within the limits");
    assert!(opened.memory(640) < 40 << 20, "{}", opened.memory(640));
    let picture = opened.decode(640).expect("decodes");
    assert_eq!((picture.width, picture.height), (8_160, 6_120));
    let luma = picture.luma();
    assert_eq!((luma.width, luma.height), (640, 480));
    let middle = &luma.to_bytes()[320 * 640..][..640];
    assert_eq!(middle, [[0; 320], [255; 320]].concat());
}

#[test]
fn formats_that_are_not_supported_are_named() {
    let brand = |brand: &[u8]| [b"\0\0\0\x18ftyp", brand, b"\0\0\0\0mif1miaf"].concat();
    let svg =
        b"<?xml version=\"1.0\"?>\n<!-- drawn -->\n<svg xmlns=\"http://www.w3.org/2000/svg\">";
    let cases: [(&[u8], &str, &str); 16] = [
        (
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            "HEIC",
            "Most Compatible",
        ),
        (&brand(b"heix"), "HEIC", "JPEG or PNG"),
        (&brand(b"mif1"), "HEIF", "JPEG or PNG"),
        (&brand(b"avif"), "AVIF", "send PNG"),
        (
            b"\0\0\0\x18ftypisom\0\0\x02\0isom",
            "a video",
            "one picture",
        ),
        (b"\xff\x0a\xfa", "JPEG XL", "send PNG"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000", "send PNG"),
        (b"II*\0\x08\0", "TIFF", "send PNG"),
        (b"MM\0*\0\0", "TIFF", "send PNG"),
        (b"%PDF-1.7", "PDF", "export it as PNG"),
        (svg, "SVG", "export it as PNG"),
        (
            b"\n<!DOCTYPE html><html>",
            "an HTML page",
            "what was downloaded",
        ),
        (b"8BPS\0\x01", "Photoshop", "send PNG"),
        (b"\0\0\x01\0\x01\0", "icon", "send PNG"),
        (b"P5\n28 28\n255\n", "Netpbm", "send PNG"),
        (b"data:image/png;base64,iVBOR", "data URL", "decoded bytes"),
    ];
    for (bytes, format, remedy) in cases {
        let error = decode(bytes, Limits::default()).expect_err("unsupported");
        let message = error.to_string();
        assert!(
            message.contains(format) && message.contains(remedy),
            "{format}: {message}"
        );
    }
    for text in [b"P5x".as_slice(), b"<seven>", b"ftyp", b"\xff\xff"] {
        let error = decode(text, Limits::default()).err();
        assert_eq!(error, Some(DecodeError::Format), "{text:?}");
    }
}

/// A JPEG with an EXIF segment that turns it is upright afterwards.
#[test]
fn the_exif_orientation_is_applied() {
    let image = image::RgbImage::from_fn(48, 32, |x, _| {
        image::Rgb(if x < 24 { [255; 3] } else { [0; 3] })
    });
    let jpeg = encoded(&DynamicImage::ImageRgb8(image), ImageFormat::Jpeg);
    // Orientation 6: the camera was turned; the picture must be turned clockwise.
    let mut exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
    let mut turned = jpeg[..2].to_vec();
    turned.append(&mut exif);
    turned.extend(&jpeg[2..]);
    let picture = decode(&turned, Limits::default()).expect("decodes");
    assert_eq!((picture.width, picture.height), (32, 48));
    let luma = picture.luma();
    assert!(
        luma.at(16, 5) > 0.9 && luma.at(16, 43) < 0.1,
        "left must have become top"
    );
}

/// Two bits a pixel, the last of the four colours transparent: which our encoder never writes.
#[test]
fn palettes_are_decoded() {
    let encoded = include_bytes!("../samples/palette.png");
    let colours = [
        [255, 255, 255, 255],
        [0, 0, 0, 255],
        [200, 30, 60, 255],
        [10, 20, 30, 0],
    ];
    let expected = RgbaImage::from_fn(4, 2, |x, y| {
        Rgba(colours[if y == 0 { x } else { 3 - x } as usize])
    });
    assert_eq!(
        decode(encoded, Limits::default()),
        Ok(Picture::from_rgba(&expected))
    );
}

/// As print shops and some scanners write JPEG, with the inks' shares turned round: paper, black,
/// cyan, yellow.
#[test]
fn cmyk_is_converted_to_rgb() {
    let encoded = include_bytes!("../samples/cmyk.jpg");
    let picture = decode(encoded, Limits::default()).expect("decodes");
    assert_eq!((picture.width, picture.height), (32, 8));
    let luma = picture.luma();
    for (stripe, expected) in [(0, 1.0), (1, 0.0), (2, 0.701), (3, 0.886)] {
        let got = luma.at(8 * stripe + 4, 4);
        assert!(
            (got - expected).abs() < 0.02,
            "stripe {stripe}: {got}, not {expected}"
        );
    }
}

#[test]
fn the_first_frame_of_an_animation_is_decoded() {
    let grey = |level: u8| RgbaImage::from_pixel(6, 4, Rgba([level, level, level, 255]));
    let mut encoded = Vec::new();
    let mut encoder = GifEncoder::new(&mut encoded);
    encoder.set_repeat(Repeat::Infinite).expect("repeats");
    for level in [90, 200, 10] {
        let delay = Delay::from_numer_denom_ms(40, 1);
        let frame = Frame::from_parts(grey(level), 0, 0, delay);
        encoder.encode_frame(frame).expect("encodes");
    }
    drop(encoder);
    assert_eq!(
        decode(&encoded, Limits::default()),
        Ok(Picture::from_rgba(&grey(90)))
    );
}
