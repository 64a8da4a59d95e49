//! Names the formats that people send and that are not supported, by their first bytes.

use crate::limits::DecodeError;

const SUPPORTED: &str = "send PNG, JPEG, WebP, BMP or GIF";
const IPHONE: &str = "convert it to JPEG or PNG; an iPhone takes JPEG with Settings > Camera > Formats > Most Compatible";
const VECTOR: &str = "export it as PNG";
const BASE64: &str = "send the decoded bytes of the picture";

/// (first bytes, format, remedy).
const SIGNATURES: &[(&[u8], &str, &str)] = &[
    (b"\xff\x0a", "JPEG XL", SUPPORTED),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", SUPPORTED),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000", SUPPORTED),
    (b"\xff\x4f\xff\x51", "JPEG 2000", SUPPORTED),
    (b"II*\0", "TIFF or a camera's raw format", SUPPORTED),
    (b"MM\0*", "TIFF or a camera's raw format", SUPPORTED),
    (b"II+\0", "BigTIFF", SUPPORTED),
    (b"MM\0+", "BigTIFF", SUPPORTED),
    (b"\0\0\x01\0", "an icon (ICO)", SUPPORTED),
    (b"\0\0\x02\0", "a cursor (CUR)", SUPPORTED),
    (b"8BPS", "a Photoshop document", SUPPORTED),
    (b"gimp xcf", "a GIMP document", SUPPORTED),
    (b"qoif", "QOI", SUPPORTED),
    (b"farbfeld", "farbfeld", SUPPORTED),
    (b"DDS ", "DDS", SUPPORTED),
    (b"\x76\x2f\x31\x01", "OpenEXR", SUPPORTED),
    (b"#?RADIANCE", "Radiance HDR", SUPPORTED),
    (b"P1", "a Netpbm picture", SUPPORTED),
    (b"P2", "a Netpbm picture", SUPPORTED),
    (b"P3", "a Netpbm picture", SUPPORTED),
    (b"P4", "a Netpbm picture", SUPPORTED),
    (b"P5", "a Netpbm picture", SUPPORTED),
    (b"P6", "a Netpbm picture", SUPPORTED),
    (b"P7", "a Netpbm picture", SUPPORTED),
    (b"%PDF-", "PDF", VECTOR),
    (b"%!PS", "PostScript", VECTOR),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile", VECTOR),
    (b"PK\x03\x04", "a ZIP archive", "send the pictures in it"),
    (
        b"\x1f\x8b",
        "compressed with gzip",
        "send the picture itself",
    ),
    (b"\x93NUMPY", "a NumPy array", "save it as PNG"),
    (b"data:image/", "a data URL", BASE64),
    (b"iVBORw0KGgo", "base64 text", BASE64),
    (b"/9j/", "base64 text", BASE64),
];

/// (brand, format, remedy) of files of the ISO base media format, whose first box is `ftyp`; brands
/// that several formats share come last.
const BRANDS: &[(&[u8; 4], &str, &str)] = &[
    (b"avif", "AVIF", SUPPORTED),
    (b"avis", "AVIF", SUPPORTED),
    (b"crx ", "a camera's raw format (CR3)", SUPPORTED),
    (b"heic", "HEIC", IPHONE),
    (b"heix", "HEIC", IPHONE),
    (b"heim", "HEIC", IPHONE),
    (b"heis", "HEIC", IPHONE),
    (b"hevc", "HEIC", IPHONE),
    (b"hevx", "HEIC", IPHONE),
    (b"hevm", "HEIC", IPHONE),
    (b"hevs", "HEIC", IPHONE),
    (b"mif1", "HEIF", IPHONE),
    (b"mif2", "HEIF", IPHONE),
    (b"msf1", "HEIF", IPHONE),
];
/// Bytes of text in which an element is looked for.
const TEXT: usize = 1_024;

/// The error that names the format; `None` if the format is supported or unknown.
#[must_use]
pub fn unsupported(encoded: &[u8]) -> Option<DecodeError> {
    let named = |&(_, format, remedy): &(&[u8], _, _)| (format, remedy);
    let by_signature = SIGNATURES
        .iter()
        .find(|(signature, ..)| is_signed(encoded, signature))
        .map(named);
    let (format, remedy) = by_signature
        .or_else(|| media(encoded))
        .or_else(|| markup(encoded))?;
    Some(DecodeError::Unsupported { format, remedy })
}

/// Netpbm's signatures are short, so white space must follow.
fn is_signed(encoded: &[u8], signature: &[u8]) -> bool {
    let rest = encoded.strip_prefix(signature);
    rest.is_some_and(|rest| {
        !(signature.len() == 2 && signature.starts_with(b"P"))
            || rest.first().is_some_and(u8::is_ascii_whitespace)
    })
}

/// ISO/IEC 14496-12: the major brand, then a version, then the compatible brands.
fn media(encoded: &[u8]) -> Option<(&'static str, &'static str)> {
    let (&[s3, s2, s1, s0], rest) = encoded.split_first_chunk()?;
    let brands = rest.strip_prefix(b"ftyp")?;
    let length = (u32::from_be_bytes([s3, s2, s1, s0]) as usize).saturating_sub(8);
    let brands = brands.get(..length.min(brands.len()))?;
    let (words, _) = brands.as_chunks::<4>();
    let known = BRANDS.iter().find(|(brand, ..)| words.contains(brand));
    Some(known.map_or(
        ("a video", "send one picture of it as JPEG or PNG"),
        |&(_, format, remedy)| (format, remedy),
    ))
}

/// SVG, or the page of an error that was saved in place of a picture.
fn markup(encoded: &[u8]) -> Option<(&'static str, &'static str)> {
    let text = encoded.strip_prefix(b"\xef\xbb\xbf").unwrap_or(encoded);
    let text = text.trim_ascii_start();
    if !text.starts_with(b"<") {
        return None;
    }
    let text = text[..text.len().min(TEXT)].to_ascii_lowercase();
    let has = |element: &[u8]| text.windows(element.len()).any(|window| window == element);
    if has(b"<svg") {
        Some(("SVG", VECTOR))
    } else if has(b"<html") || has(b"<!doctype html") {
        Some(("an HTML page", "check what was downloaded"))
    } else {
        None
    }
}
