use super::*;
use crate::files::TRAIN_IMAGES;
use crate::test_server::{Reply, Server};
use digits_testing::skip;
use flate2::{Compression, write::GzEncoder};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

fn from(variables: &[(&str, &str)]) -> MnistSource {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    MnistSource::from_variables(|name| variables.get(name).map(OsString::from))
}

#[test]
fn the_source_comes_from_the_environment() {
    let plain = from(&[("HOME", "/home/ada")]);
    assert_eq!(plain.dir, None);
    assert_eq!(plain.cache, Path::new("/home/ada/.cache/digits/mnist"));
    assert!(plain.download);
    assert_eq!(plain.mirrors, MIRRORS);

    let full = from(&[
        ("HOME", "/home/ada"),
        ("XDG_CACHE_HOME", "/var/cache/ada"),
        ("DIGITS_MNIST_DIR", "data/mnist"),
        ("DIGITS_MNIST_MIRRORS", "http://a/mnist, ,https://b"),
    ]);
    assert_eq!(full.dir, Some(PathBuf::from("data/mnist")));
    assert_eq!(full.cache, Path::new("/var/cache/ada/digits/mnist"));
    assert_eq!(full.mirrors, ["http://a/mnist", "https://b"]);

    let ignored = from(&[
        ("HOME", "/home/ada"),
        ("XDG_CACHE_HOME", "relative"),
        ("DIGITS_MNIST_DIR", ""),
        ("DIGITS_MNIST_MIRRORS", " , "),
    ]);
    assert_eq!(ignored, plain);
}

#[test]
fn the_digest_needs_no_files() {
    assert_eq!(
        content_digest(),
        "2375306534dacf0cd32aff8ba8fb3816cd482902b1d24ca52e16f443ac176543"
    );
}

#[test]
fn files_with_kaggles_names_are_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [plain, nested] = ["train-images.idx3-ubyte", "train-images-idx3-ubyte"];
    for path in [plain.to_owned(), format!("{nested}/{nested}")] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(
            &path,
            idx::encode_images(&Images {
                count: 1,
                height: 1,
                width: 1,
                pixels: vec![0].into(),
            }),
        )
        .expect("written");
        let source = MnistSource {
            dir: Some(folder.path().to_owned()),
            ..MnistSource::default()
        };
        let error = load(&source, &mut |_| ()).expect_err("not MNIST");
        let file = path.display().to_string();
        assert!(
            matches!(&error, DatasetError::Digest { file: found, .. } if *found == file),
            "{error}"
        );
        fs::remove_file(path).expect("removed");
    }
}

#[test]
fn a_missing_file_is_reported_with_a_remedy() {
    let empty = tempfile::tempdir().expect("a temporary folder");
    let source = MnistSource {
        dir: Some(empty.path().to_owned()),
        cache: empty.path().to_owned(),
        download: true,
        mirrors: Vec::new(),
    };
    let error = load(&source, &mut |_| {})
        .expect_err("the folder is empty")
        .to_string();
    assert!(
        error.starts_with("no train-images-idx3-ubyte (nor "),
        "{error}"
    );
    assert!(error.contains("DIGITS_MNIST_DIR"), "{error}");

    let source = MnistSource {
        dir: None,
        download: false,
        ..source
    };
    let error = load(&source, &mut |_| {})
        .expect_err("the cache is empty")
        .to_string();
    assert!(error.contains("allow the download"), "{error}");
    assert_eq!(
        fs::read_dir(empty.path()).expect("still there").count(),
        0,
        "neither lock nor partial file"
    );
}

#[test]
fn other_data_under_mnists_file_names_is_rejected() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let images = Images {
        count: 2,
        height: 2,
        width: 2,
        pixels: vec![0; 8].into(),
    };
    idx::write_images(&folder.path().join(TRAIN_IMAGES), &images).expect("written");
    let source = MnistSource {
        dir: Some(folder.path().to_owned()),
        cache: folder.path().to_owned(),
        download: false,
        mirrors: Vec::new(),
    };
    let error = load(&source, &mut |_| {}).expect_err("two images of 2×2");
    assert!(matches!(error, DatasetError::Digest { .. }), "{error}");
    assert!(error.to_string().contains(FILES[0].sha256), "{error}");
}

/// MNIST's folder. Where `DIGITS_MNIST_DIR` is not set, `test` is skipped.
fn mnist_dir(test: &str) -> Option<PathBuf> {
    let dir = std::env::var_os("DIGITS_MNIST_DIR").filter(|dir| !dir.is_empty());
    if dir.is_none() {
        skip(test, "set DIGITS_MNIST_DIR to a folder with MNIST's files");
    }
    dir.map(PathBuf::from)
}

fn check_mnist(mnist: &Dataset) {
    assert_eq!(
        (mnist.train.images.count, mnist.test.images.count),
        (60_000, 10_000)
    );
    assert_eq!(
        (mnist.height(), mnist.width(), mnist.classes()),
        (28, 28, 10)
    );
    assert_eq!(mnist.train.labels[..5], [5, 0, 4, 1, 9]);
    assert_eq!(mnist.test.labels[..5], [7, 2, 1, 0, 4]);
    let ink: u64 = mnist
        .train
        .images
        .pixels
        .iter()
        .map(|&pixel| u64::from(pixel))
        .sum();
    let mean = ink as f64 / (60_000.0 * 784.0 * 255.0);
    assert!((mean - 0.1307).abs() < 1e-4, "mean grey {mean}");
    assert_eq!(
        mnist.digest,
        "2375306534dacf0cd32aff8ba8fb3816cd482902b1d24ca52e16f443ac176543"
    );
    assert_eq!(mnist.validate().map_err(|error| error.to_string()), Ok(()));
}

#[test]
fn mnist_loads_with_its_known_content() {
    let Some(dir) = mnist_dir("mnist_loads_with_its_known_content") else {
        return;
    };
    let source = MnistSource {
        dir: Some(dir),
        ..from(&[("HOME", "/nowhere")])
    };
    check_mnist(&load(&source, &mut |_| panic!("no download")).expect("MNIST"));
}

/// The plain file of that name without `.gz`, compressed as a mirror would hold it.
fn gzipped(path: &Path) -> io::Result<Vec<u8>> {
    let plain = fs::read(path.with_extension(""))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&plain)?;
    encoder.finish()
}

#[test]
fn mnist_downloaded_over_an_unreliable_connection_is_mnist() {
    let Some(dir) = mnist_dir("mnist_downloaded_over_an_unreliable_connection_is_mnist") else {
        return;
    };
    let server = Server::start(move |request| {
        let name = request.path.trim_start_matches("/mnist/");
        let Ok(content) = fs::read(dir.join(name)).or_else(|_| gzipped(&dir.join(name))) else {
            return Reply::status("404 Not Found");
        };
        let reply = Reply::content(&content);
        // The first request is for the training images.
        if request.number == 0 {
            reply.cut_after(content.len() / 3)
        } else {
            reply
        }
    });
    let cache = tempfile::tempdir().expect("a temporary folder");
    let mut source = from(&[("HOME", "/nowhere")]);
    source.cache = cache.path().join("deep/er");
    source.mirrors = vec![server.url()];
    check_mnist(&load(&source, &mut |_| {}).expect("MNIST"));
    assert_eq!(server.requests().len(), 5, "four files, one of them twice");

    source.download = false;
    check_mnist(&load(&source, &mut |_| {}).expect("MNIST, from the cache"));
}
