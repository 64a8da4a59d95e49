use super::*;
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::fs;
use std::io::Write as _;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn header(element: u8, dimensions: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0, 0, element, dimensions.len() as u8];
    bytes.extend(dimensions.iter().flat_map(|size| size.to_be_bytes()));
    bytes
}

fn with(mut header: Vec<u8>, data: &[u8]) -> Vec<u8> {
    header.extend(data);
    header
}

fn sample() -> Images {
    Images {
        count: 2,
        height: 2,
        width: 3,
        pixels: (0..12).collect(),
    }
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let bytes = encode_images(&sample());
    assert_eq!(
        bytes[..16],
        [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3]
    );
    assert_eq!(bytes[16..], (0..12).collect::<Vec<u8>>());
    assert_eq!(encode_labels(&[7, 255]), [0, 0, 8, 1, 0, 0, 0, 2, 7, 255]);
    assert_eq!(
        encode_labels(&[7, 256]),
        [0, 0, 11, 1, 0, 0, 0, 2, 0, 7, 1, 0]
    );
    assert_eq!(encode_labels(&[]), [0, 0, 8, 1, 0, 0, 0, 0]);
}

#[test]
fn labels_may_be_bytes_shorts_or_ints() {
    for (element, data) in [
        (UNSIGNED_BYTE, vec![3, 0, 9]),
        (SHORT, vec![0, 3, 0, 0, 0, 9]),
        (INT, vec![0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9]),
    ] {
        let bytes = with(header(element, &[3]), &data);
        assert_eq!(
            parse_labels(&bytes, "l").expect("labels"),
            [3, 0, 9],
            "{element:#x}"
        );
    }
    let wide = with(header(SHORT, &[1]), &999_i16.to_be_bytes());
    assert_eq!(parse_labels(&wide, "l").expect("labels"), [999]);
}

/// Checks that parsing fails with a message that starts with the name, has the reason and ends with
/// a remedy, also for the gzipped bytes, where only numbers in the reason may differ.
fn check_refused(parse: impl Fn(&[u8]) -> Result<(), DatasetError>, bytes: &[u8], reason: &str) {
    for bytes in [bytes, &gzip(bytes)] {
        let error = parse(bytes).expect_err(reason);
        assert!(matches!(error, DatasetError::Format { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with("the-file: "), "{text}");
        assert!(text.contains(reason), "{reason:?} is not in {text:?}");
        assert!(text.contains("; "), "no remedy in {text:?}");
    }
}

#[test]
fn malformed_images_are_refused_with_the_reason() {
    let good = encode_images(&sample());
    for (bytes, reason) in [
        (vec![], "truncated: it ends within the header"),
        (vec![0, 0, 8], "truncated: it ends within the header"),
        (good[..13].to_vec(), "truncated: it ends within the header"),
        (
            good[..20].to_vec(),
            "truncated: its header declares 28 bytes",
        ),
        (
            with(good.clone(), &[0]),
            "trailing bytes: its header declares 28 bytes",
        ),
        (
            b"\x89PNG\r\n\x1a\n and more".to_vec(),
            "it starts with [89, 50, 4e, 47]",
        ),
        (
            with(header(0x0d, &[1, 1, 1]), &[0; 4]),
            "elements of type 0x0d are not read",
        ),
        (
            with(header(SHORT, &[1, 1, 1]), &[0; 2]),
            "its elements are of type 0x0b",
        ),
        (
            with(header(8, &[3]), &[0; 3]),
            "it has 1 dimensions where images have 3",
        ),
        (
            with(header(8, &[1, 1]), &[0]),
            "it has 2 dimensions where labels have 1 and images 3",
        ),
        (
            header(8, &[u32::MAX; 3]),
            "above the limit of 2147483648 bytes",
        ),
        (
            header(8, &[1 << 16, 1 << 8, 1 << 8]),
            "above the limit of 2147483648 bytes",
        ),
        (
            header(8, &[1 << 15, 1 << 8, 1 << 7]),
            "truncated: its header declares 1073741840 bytes",
        ),
    ] {
        check_refused(
            |bytes| parse_images(bytes, "the-file").map(drop),
            &bytes,
            reason,
        );
    }
}

#[test]
fn malformed_labels_are_refused_with_the_reason() {
    for (bytes, reason) in [
        (
            encode_images(&sample()),
            "it has 3 dimensions where labels have 1",
        ),
        (
            with(header(SHORT, &[2]), &[0, 1, 3, 0xe8]),
            "label 1 is 1000, outside 0 to 999",
        ),
        (
            with(header(SHORT, &[1]), &[0xff, 0xff]),
            "label 0 is -1, outside 0 to 999",
        ),
        (
            with(header(INT, &[1]), &[0, 1, 0, 0]),
            "label 0 is 65536, outside 0 to 999",
        ),
        (
            with(header(SHORT, &[2]), &[0, 1, 3]),
            "truncated: its header declares 12 bytes",
        ),
        (
            with(header(INT, &[1]), &[0; 5]),
            "trailing bytes: its header declares 12 bytes",
        ),
    ] {
        check_refused(
            |bytes| parse_labels(bytes, "the-file").map(drop),
            &bytes,
            reason,
        );
    }
}

#[test]
fn damaged_gzip_is_refused() {
    let good = gzip(&encode_images(&sample()));
    let mut wrong_sum = good.clone();
    let sum = wrong_sum.len() - 8;
    wrong_sum[sum] ^= 1;
    for bytes in [
        good[..good.len() - 9].to_vec(),
        wrong_sum,
        vec![0x1f, 0x8b],
        b"\x1f\x8bnot".to_vec(),
    ] {
        let error = parse_images(&bytes, "the-file")
            .expect_err("it is damaged")
            .to_string();
        assert!(error.starts_with("the-file: "), "{error}");
    }
}

#[test]
fn a_gzip_bomb_is_unpacked_no_further_than_its_header_declares() {
    // 256 MiB of zeros behind a header that declares six.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(&header(8, &[1, 2, 3]))
        .expect("memory takes it");
    for _ in 0..256 {
        encoder.write_all(&[0; 1 << 20]).expect("memory takes it");
    }
    let bomb = encoder.finish().expect("memory takes it");
    check_left_packed(&bomb, "trailing bytes");
    // A header that declares more than deflate could have packed into the file.
    let mut lie = gzip(&header(8, &[60_000, 100, 100]));
    lie.extend([0; 10_000]);
    check_left_packed(&lie, "more than its compressed bytes");
}

fn check_left_packed(bytes: &[u8], reason: &str) {
    let mut rest = bytes;
    let error = decode(
        &mut rest,
        bytes.len() as u64,
        PixelStore::Memory,
        "the-file",
    )
    .err()
    .expect(reason);
    assert!(error.to_string().contains(reason), "{error}");
    assert!(
        rest.len() > bytes.len() / 10 * 9,
        "{} of {} bytes left",
        rest.len(),
        bytes.len()
    );
}

#[test]
fn files_are_written_and_read_plain_and_gzipped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (images, labels) = (folder.path().join("images"), folder.path().join("labels"));
    write_images(&images, &sample()).expect("written");
    write_labels(&labels, &[3, 999]).expect("written");
    assert_eq!(read_images(&images).expect("read"), sample());
    assert_eq!(read_labels(&labels).expect("read"), [3, 999]);

    // Compression is detected by the content, not the name.
    fs::write(&images, gzip(&encode_images(&sample()))).expect("written");
    assert_eq!(read_images(&images).expect("read"), sample());

    for path in [folder.path().to_owned(), folder.path().join("absent")] {
        let error = read_images(&path).expect_err("no file").to_string();
        assert!(
            error.starts_with(&format!("cannot read {}: ", path.display())),
            "{error}"
        );
    }
    let error = write_labels(&folder.path().join("a/b"), &[]).expect_err("no folder");
    assert!(error.to_string().starts_with("cannot write "), "{error}");
}

prop_compose! {
    fn any_images()(count in 0_usize..5, height in 0_usize..7, width in 0_usize..7)
        (pixels in prop::collection::vec(any::<u8>(), count * height * width),
         count in Just(count), height in Just(height), width in Just(width)) -> Images {
        Images { count, height, width, pixels: pixels.into() }
    }
}

/// Bytes that start like an IDX file.
fn nearly_idx() -> impl Strategy<Value = Vec<u8>> {
    let dimension = prop_oneof![0_u32..5, any::<u32>()];
    (
        0_u8..16,
        prop::collection::vec(dimension, 0..4),
        prop::collection::vec(any::<u8>(), 0..80),
    )
        .prop_map(|(element, dimensions, data)| with(header(element, &dimensions), &data))
}

proptest! {
    #[test]
    fn images_survive_the_round_trip(images in any_images(), packed: bool) {
        let bytes = encode_images(&images);
        let bytes = if packed { gzip(&bytes) } else { bytes };
        prop_assert_eq!(parse_images(&bytes, "x").expect("images"), images);
    }

    #[test]
    fn labels_survive_the_round_trip(labels in prop::collection::vec(0_u16..1_000, 0..300), packed: bool) {
        let bytes = encode_labels(&labels);
        let bytes = if packed { gzip(&bytes) } else { bytes };
        prop_assert_eq!(parse_labels(&bytes, "x").expect("labels"), labels);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused(images in any_images(), cut: prop::sample::Index, packed: bool) {
        let bytes = encode_images(&images);
        let bytes = if packed { gzip(&bytes) } else { bytes };
        prop_assert!(parse_images(&bytes[..cut.index(bytes.len())], "x").is_err());
    }

    #[test]
    fn arbitrary_bytes_neither_panic_nor_take_memory(
        bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), nearly_idx()],
        packed: bool,
    ) {
        let bytes = if packed { gzip(&bytes) } else { bytes };
        // Deflate's maximum expansion bounds the allocation for either.
        if let Ok(images) = parse_images(&bytes, "x") {
            prop_assert_eq!(images.pixels.len(), images.count * images.height * images.width);
            prop_assert!(Vec::from(images.pixels).capacity() <= bytes.len() * DEFLATE_EXPANSION as usize);
        }
        if let Ok(labels) = parse_labels(&bytes, "x") {
            prop_assert!(labels.iter().all(|&label| label < 1_000));
        }
    }
}

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");

/// The labels in a file, and whether bytes behind them were ignored with a warning.
fn labels_in(path: &Path) -> (Vec<u16>, bool) {
    let mut findings = Vec::new();
    let labels = labels_of(path, 0, &mut findings).expect("labels");
    let file = path.display().to_string();
    let warned = findings == [Finding::BytesBehindGzip { file }];
    assert!(warned || findings.is_empty(), "{findings:?}");
    (labels, warned)
}

#[test]
fn bytes_behind_gzip_are_ignored_as_by_gunzip() {
    let cases = Path::new(CASES);
    let (expected, warned) = labels_in(&cases.join("train-labels-idx1-ubyte.gz"));
    assert!(!warned && expected.len() == 60);
    for (file, garbage) in [
        ("one-zero-behind", false),
        ("zeros-behind", false),
        ("padded-to-512", false),
        ("newline-behind", true),
        ("garbage-behind", true),
    ] {
        let found = labels_in(&cases.join(format!("{file}.labels.gz")));
        assert_eq!(found, (expected.clone(), garbage), "{file}");
    }
}

#[test]
fn members_of_gzip_are_one_content_and_what_follows_is_told_apart() {
    let labels: Vec<u16> = (0..700).map(|index| index % 10).collect();
    let content = encode_labels(&labels);
    let (first, second) = content.split_at(300);
    let whole = gzip(&content);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("labels.gz");
    let zeros = vec![0; 1 << 20];
    for (bytes, garbage) in [
        ([gzip(first), gzip(second)].concat(), false),
        (
            [gzip(first), gzip(&[]), gzip(second), vec![0; 3]].concat(),
            false,
        ),
        ([&whole[..], &zeros].concat(), false),
        ([&whole[..], &zeros, b"x"].concat(), true),
        // As gunzip has it, a member behind zeros is garbage too.
        ([&whole[..], &[0, 0], &whole].concat(), true),
        ([&whole[..], &[0x1f]].concat(), true),
        ([&whole[..], &[0, 0x1f, 0x8b]].concat(), true),
    ] {
        fs::write(&path, bytes).expect("written");
        assert_eq!(labels_in(&path), (labels.clone(), garbage));
    }
    // A damaged further member is an error, and so is one with more content.
    for behind in [&[0x1f, 0x8b][..], &whole] {
        fs::write(&path, [&whole[..], behind].concat()).expect("written");
        assert!(read_labels(&path).is_err());
    }
}

#[test]
fn the_first_column_of_qmnists_labels_is_the_label() {
    let cases = Path::new(CASES);
    let (expected, _) = labels_in(&cases.join("train-labels-idx1-ubyte.gz"));
    let (labels, _) = labels_in(&cases.join("qmnist-labels-idx2-int"));
    assert_eq!(labels, expected);
    // Two dimensions are nothing else.
    for (element, columns) in [(INT, 10), (UNSIGNED_BYTE, 8)] {
        let bytes = with(header(element, &[1, columns]), &[0; 40]);
        let error = parse_labels(&bytes, "l")
            .expect_err("no labels")
            .to_string();
        assert!(error.contains("it has 2 dimensions"), "{error}");
    }
}
