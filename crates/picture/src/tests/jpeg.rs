//! Tests that a JPEG is read whole or refused.

use super::{super::*, MNIST, difference, input};

/// Files that deliver every block, each of another kind.
const WHOLE: [(&str, &[u8]); 6] = [
    ("baseline", include_bytes!("../samples/seven.jpg")),
    ("grey", include_bytes!("../samples/seven-grey.jpg")),
    (
        "with restart markers",
        include_bytes!("../samples/seven-restarts.jpg"),
    ),
    (
        "a scan for each component",
        include_bytes!("../samples/seven-three-scans.jpg"),
    ),
    (
        "progressive",
        include_bytes!("../samples/seven-progressive.jpg"),
    ),
    (
        "progressive with restart markers",
        include_bytes!("../samples/seven-progressive-restarts.jpg"),
    ),
];
const EOI: [u8; 2] = [0xff, 0xd9];

fn read(encoded: &[u8]) -> Result<Picture, DecodeError> {
    decode(encoded, Limits::default())
}

/// Asserts that a file shows the same 7 as the plain one.
fn check_whole(name: &str, encoded: &[u8]) {
    let picture = read(encoded).unwrap_or_else(|error| panic!("{name}: {error}"));
    let expected = input(&MNIST.picture(&read(WHOLE[0].1).expect("decodes")));
    let differs = difference(&input(&MNIST.picture(&picture)), &expected);
    assert!(differs < 4.0, "{name}: differs by {differs} grey levels");
}

fn check_damaged(name: &str, encoded: &[u8]) {
    let error = read(encoded).err();
    assert_eq!(error, Some(DecodeError::Damaged), "{name}");
}

/// Index of the byte behind a marker's two bytes.
fn after(encoded: &[u8], marker: u8) -> usize {
    let at = encoded.windows(2).position(|two| two == [0xff, marker]);
    at.expect("has the marker") + 2
}

fn inserted(encoded: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    [&encoded[..at], bytes, &encoded[at..]].concat()
}

#[test]
fn whole_files_are_read_as_cameras_and_phones_write_them() {
    for (name, whole) in WHOLE {
        check_whole(name, whole);
        let no_end = &whole[..whole.len() - 2];
        check_whole(&format!("{name}, without an end"), no_end);
        // Motion photos, second pictures for other screens, and padding.
        for (what, behind) in [
            ("a video", b"\0\0\0\x18ftypmp42".as_slice()),
            ("another picture", WHOLE[1].1),
            ("the start of another picture", &WHOLE[1].1[..300]),
            ("zeroes", &[0; 700]),
            ("text", b"SEFT\r\n"),
        ] {
            let file = [whole, behind].concat();
            check_whole(&format!("{name}, with {what} behind it"), &file);
        }
        let filled = inserted(whole, after(whole, 0xdb) - 2, &[0xff; 3]);
        check_whole(&format!("{name}, with fill bytes"), &filled);
        let stray = inserted(whole, whole.len() - 2, &[1, 2, 3, 4]);
        check_whole(&format!("{name}, stray bytes before its end"), &stray);
        let filled = inserted(whole, whole.len() - 2, &[0xff; 5]);
        check_whole(&format!("{name}, filled up before its end"), &filled);
        check_whole(&format!("{name}, filled up"), &inserted(whole, 0, &[0xff]));
    }
    let baseline = WHOLE[0].1;
    // As webcams do: a frame of a video, which leaves out the tables that all frames share.
    let mut frame = baseline.to_vec();
    for _ in 0..4 {
        let start = after(&frame, 0xc4);
        let length = usize::from(u16::from_be_bytes([frame[start], frame[start + 1]]));
        frame.drain(start - 2..start + length);
    }
    check_whole("without Huffman tables", &frame);
    // The number of rows follows the scan.
    let at = after(baseline, 0xc0) + 3;
    let mut deferred = baseline.to_vec();
    let rows = [deferred[at], deferred[at + 1]];
    deferred[at..at + 2].fill(0);
    check_damaged("without a number of rows", &deferred);
    let segment = [0xff, 0xdc, 0, 4, rows[0], rows[1]];
    check_whole(
        "with its number of rows in the end",
        &inserted(&deferred, deferred.len() - 2, &segment),
    );
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    for (name, whole) in WHOLE {
        let end = whole.len() - 2;
        // The last of them inside the last row of blocks.
        let cuts = (0..200).map(|share| 3 + (end - 4) * share / 200);
        for cut in cuts.chain(end - 12..end - 1) {
            check_damaged(&format!("{name}, {cut} of {end} bytes"), &whole[..cut]);
            let ended = [&whole[..cut], &EOI].concat();
            check_damaged(&format!("{name}, {cut} bytes and an end"), &ended);
            let padded = [&whole[..cut], &[0; 64]].concat();
            check_damaged(&format!("{name}, {cut} bytes and zeroes"), &padded);
        }
    }
}

/// Each scan but one: no scan is cut, and the file has its end.
#[test]
fn a_file_without_one_of_its_scans_is_refused() {
    for (name, whole) in &WHOLE[3..] {
        let starts: Vec<usize> = whole
            .windows(2)
            .enumerate()
            .filter(|(_, two)| matches!(two, [0xff, 0xda]))
            .map(|(at, _)| at)
            .collect();
        for (index, &start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(whole.len() - 2);
            let file = [&whole[..start], &whole[end..]].concat();
            check_damaged(&format!("{name} without scan {index}"), &file);
        }
    }
}

#[test]
fn a_file_that_lost_its_middle_is_refused() {
    for (name, whole) in WHOLE {
        let start = after(whole, 0xda) + 20;
        let third = (whole.len() - start) / 3;
        for offset in 0..20 {
            let from = start + third * offset / 20;
            let lost = [&whole[..from], &whole[from + third..]].concat();
            check_damaged(&format!("{name}, {third} bytes from {from} on"), &lost);
        }
    }
}

#[test]
fn corrupt_data_is_refused() {
    let mut restarts = WHOLE[2].1.to_vec();
    let second = after(&restarts, 0xd1) - 1;
    restarts[second] = 0xd5;
    check_damaged("a restart marker out of order", &restarts);
    let (_, whole) = WHOLE[0];
    let more = inserted(
        whole,
        whole.len() - 2,
        &whole[whole.len() - 80..whole.len() - 2],
    );
    check_damaged("data of more blocks than the picture has", &more);
    let mut tables = WHOLE[0].1.to_vec();
    let counts = after(&tables, 0xc4) + 3;
    tables[counts..counts + 16].fill(0xff);
    check_damaged("a Huffman table with too many codes", &tables);
    let mut code = WHOLE[1].1.to_vec();
    let data = after(&code, 0xda) + 20;
    code[data..data + 12].copy_from_slice(&[0xff, 0].repeat(6));
    check_damaged("a run of ones, which is no code", &code);
}

#[test]
fn rarer_kinds_of_jpeg_are_named() {
    let kinds = [
        (0xc3, "lossless"),
        (0xc5, "hierarchical"),
        (0xc9, "arithmetic coding"),
        (0xca, "arithmetic coding"),
        (0xf7, "lossless"),
    ];
    let at = after(WHOLE[0].1, 0xc0) - 1;
    for (marker, word) in kinds {
        let mut file = WHOLE[0].1.to_vec();
        file[at] = marker;
        let message = read(&file).expect_err("unsupported").to_string();
        assert!(message.contains(word), "{message}");
    }
    let mut precise = WHOLE[0].1.to_vec();
    precise[at + 3] = 12;
    let message = read(&precise).expect_err("unsupported").to_string();
    assert!(message.contains("more than 8 bits"), "{message}");
}

/// Scans cost a pass over all blocks each and need hardly a byte.
#[test]
fn the_number_of_scans_is_limited() {
    let (_, progressive) = WHOLE[4];
    let start = after(progressive, 0xda) - 2;
    let scan = [
        0xff, 0xda, 0, 8, 1, 1, 0, 1, 5, 0, 0x00, 0xff, 0xdd, 0, 4, 0, 0,
    ];
    let file = inserted(progressive, start, &scan.repeat(101));
    let message = read(&file).expect_err("too many").to_string();
    assert!(message.contains("100 scans"), "{message}");
}

/// By its header, before anything is decoded.
#[test]
fn a_file_that_needs_too_much_memory_is_refused() {
    let limits = Limits {
        max_memory: 80 << 20,
        ..Limits::default()
    };
    let read = |(_, whole): (&str, &[u8])| {
        let mut file = whole.to_vec();
        let size = file
            .windows(2)
            .position(|two| matches!(two, [0xff, 0xc0 | 0xc2]))
            .expect("has a frame")
            + 5;
        file[size..size + 2].copy_from_slice(&6_120_u16.to_be_bytes());
        file[size + 2..size + 4].copy_from_slice(&8_160_u16.to_be_bytes());
        decode(&file, limits)
    };
    // The rows of the small picture are too few.
    assert_eq!(read(WHOLE[0]), Err(DecodeError::Damaged));
    let limit = limits.max_memory;
    // Their scans have to be collected.
    for collected in [WHOLE[3], WHOLE[4]] {
        assert_eq!(read(collected), Err(DecodeError::TooMuchMemory { limit }));
    }
}

#[test]
fn a_file_is_weighed_by_its_first_bytes() {
    let limits = Limits::default();
    for (name, whole) in WHOLE {
        let picture = read(whole).expect("decodes");
        let opened = PictureFile::open(whole, limits).expect("opens");
        let weight = weigh(&whole[..after(whole, 0xda) + 20], limits);
        let pixels = (picture.width * picture.height) as u64;
        assert_eq!(weight.pixels, pixels, "{name}");
        assert_eq!(weight.memory, opened.memory(640), "{name}");
    }
    assert_eq!(weigh(b"seven", limits), Weight::default());
    let small = Limits {
        max_pixels: 1,
        ..limits
    };
    assert_eq!(weigh(WHOLE[0].1, small), Weight::default());
}

/// Pictures that are decoded at a reduced scale keep their size, also when they are turned.
#[test]
fn a_large_picture_is_found_where_it_was() {
    let side = 2_000;
    let paper = image::RgbImage::from_fn(side, side / 2, |x, y| {
        let ink = |left: u32| (left..left + 60).contains(&x) && (200..800).contains(&y);
        image::Rgb([if ink(300) || ink(1_500) { 20 } else { 240 }; 3])
    });
    let mut jpeg = std::io::Cursor::new(Vec::new());
    paper
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .expect("encodes");
    let picture = read(jpeg.get_ref()).expect("decodes");
    assert_eq!((picture.width, picture.height), (2_000, 1_000));
    assert_eq!(picture.luma().width, 640, "reduced");
    let Normalized::Several(boxes) = MNIST.picture(&picture) else {
        panic!("two strokes were expected");
    };
    let lefts: Vec<usize> = boxes.iter().map(|found| found.left).collect();
    assert!(
        lefts
            .iter()
            .zip([300, 1_500])
            .all(|(a, b)| a.abs_diff(b) <= 4),
        "{boxes:?}"
    );
}
