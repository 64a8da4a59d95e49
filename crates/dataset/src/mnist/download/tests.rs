use super::*;
use crate::test_server::{Reply, Server};
use flate2::{Compression, write::GzEncoder};
use std::net::TcpListener;
use tempfile::TempDir;

const NAME: &str = "sample-idx1-ubyte";

/// A file of bytes that gzip cannot shorten, and how it is published.
struct Sample {
    file: Published,
    gzipped: Vec<u8>,
}

impl Sample {
    fn new() -> Self {
        let mut state = 1_u32;
        let content: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(300_000)
        .collect();
        let sha256: &'static str = Box::leak(digest::of_parts(&[&content]).into_boxed_str());
        let file = Published {
            name: NAME,
            sha256,
            bytes: content.len() as u64,
        };
        Self {
            file,
            gzipped: gzip(&content),
        }
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn source(cache: &TempDir, mirrors: &[String]) -> MnistSource {
    MnistSource {
        dir: None,
        cache: cache.path().to_owned(),
        download: true,
        mirrors: mirrors.to_vec(),
    }
}

fn cache() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Fetches the sample into the cache, which holds nothing else afterwards. Returns the progress.
fn fetch_well(sample: &Sample, cache: &TempDir, mirrors: &[String]) -> Vec<(u64, Option<u64>)> {
    let mut seen = Vec::new();
    let path = fetch(sample.file, &source(cache, mirrors), &mut |progress| {
        assert_eq!(progress.file, format!("{NAME}.gz"));
        seen.push((progress.received_bytes, progress.total_bytes));
    })
    .expect("it can be fetched");
    assert_eq!(path, cache.path().join(format!("{NAME}.gz")));
    assert!(
        fs::read(&path).expect("it is there") == sample.gzipped,
        "other content"
    );
    assert_eq!(names(cache), [".lock".to_owned(), format!("{NAME}.gz")]);
    seen
}

fn names(cache: &TempDir) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(cache.path())
        .expect("the cache is there")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_download_reports_its_progress() {
    let sample = Sample::new();
    let gzipped = sample.gzipped.clone();
    let server = Server::start(move |_| Reply::content(&gzipped));
    let cache = cache();
    let seen = fetch_well(&sample, &cache, &[format!("{}/", server.url())]);
    let total = sample.gzipped.len() as u64;
    assert_eq!(seen.first(), Some(&(0, Some(total))));
    assert_eq!(seen.last(), Some(&(total, Some(total))));
    assert!(seen.is_sorted());
    assert_eq!(server.requests()[0].path, format!("/mnist/{NAME}.gz"));
    // The second call needs no request.
    assert!(fetch_well(&sample, &cache, &[server.url()]).is_empty());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_cut_connection_is_retried_from_the_beginning() {
    let sample = Sample::new();
    let gzipped = sample.gzipped.clone();
    let server = Server::start(move |request| {
        let reply = Reply::content(&gzipped);
        if request.number < 2 {
            reply.cut_after(50_000)
        } else {
            reply
        }
    });
    let seen = fetch_well(&sample, &cache(), &[server.url()]);
    assert_eq!(server.requests().len(), 3);
    let starts = seen.iter().filter(|(received, _)| *received == 0).count();
    assert_eq!(starts, 3, "each attempt starts at 0");
}

#[test]
fn a_partial_file_of_another_process_is_replaced() {
    let sample = Sample::new();
    let cache = cache();
    let part = cache.path().join(format!("{NAME}.gz.part"));
    fs::write(part, &sample.gzipped[..70_000]).expect("written");
    let gzipped = sample.gzipped.clone();
    let server = Server::start(move |_| Reply::content(&gzipped));
    fetch_well(&sample, &cache, &[server.url()]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_mirror_that_always_cuts_the_connection_is_left_after_three_attempts() {
    let sample = Sample::new();
    let gzipped = sample.gzipped.clone();
    let cutting = Server::start(move |_| Reply::content(&gzipped).cut_after(50_000));
    let gzipped = sample.gzipped.clone();
    let good = Server::start(move |_| Reply::content(&gzipped));
    fetch_well(&sample, &cache(), &[cutting.url(), good.url()]);
    assert_eq!(cutting.requests().len(), 3);
}

#[test]
fn a_bad_mirror_is_left_for_the_next() {
    let sample = Sample::new();
    let gzipped = sample.gzipped.clone();
    let good = Server::start(move |_| Reply::content(&gzipped));
    let other = gzip(b"other content");
    let wrong = Server::start(move |_| Reply::content(&other));
    let missing = Server::start(|_| Reply::status("404 Not Found"));
    let broken = Server::start(|_| Reply::status("503 Service Unavailable"));
    let huge = Server::start(|_| Reply::content(&vec![0; 400_000]));
    let bomb = gzip(&vec![0; 100 << 20]);
    let bomb = Server::start(move |_| Reply::content(&bomb));
    let page = Server::start(|_| Reply::content(b"<html>please log in</html>"));
    let bad = [&wrong, &missing, &broken, &huge, &bomb, &page];
    let mut mirrors: Vec<String> = bad.iter().map(|server| server.url()).collect();
    mirrors.push(refusing());
    mirrors.push("no address at all".to_owned());
    mirrors.push(good.url());
    fetch_well(&sample, &cache(), &mirrors);
    let requests: Vec<usize> = bad.iter().map(|server| server.requests().len()).collect();
    assert_eq!(
        requests,
        [1, 1, 3, 1, 1, 1],
        "only transient failures are retried"
    );
}

/// An address that refuses connections.
fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("its address"))
}

#[test]
fn without_any_good_mirror_the_error_names_each_and_the_remedies() {
    let sample = Sample::new();
    let other = gzip(b"other content");
    let wrong = Server::start(move |_| Reply::content(&other));
    let missing = Server::start(|_| Reply::status("404 Not Found"));
    let secret = missing.url().replace("http://", "http://user:password@");
    let cache = cache();
    let mirrors = [wrong.url(), secret, refusing()];
    let error =
        fetch(sample.file, &source(&cache, &mirrors), &mut |_| {}).expect_err("none has it");
    let text = error.to_string();
    for part in [
        format!("cannot download {NAME}.gz: "),
        format!("{}: its content is not MNIST's; ", wrong.url()),
        format!("{}: it answered 404 Not Found; ", missing.url()),
        "refused".to_owned(),
        "DIGITS_MNIST_MIRRORS".to_owned(),
        "DIGITS_MNIST_DIR".to_owned(),
    ] {
        assert!(text.contains(&part), "{part:?} is not in {text:?}");
    }
    assert!(!text.contains("password"), "{text}");
    assert_eq!(names(&cache), [".lock"], "no partial file is left");

    let error = fetch(sample.file, &source(&cache, &[]), &mut |_| {}).expect_err("no mirror");
    assert!(
        error.to_string().contains("no mirror is configured"),
        "{error}"
    );
}

#[test]
fn a_damaged_file_in_the_cache_is_replaced() {
    let sample = Sample::new();
    let cache = cache();
    fs::write(cache.path().join(NAME), b"damaged").expect("written");
    fs::write(
        cache.path().join(format!("{NAME}.gz")),
        &sample.gzipped[..1_000],
    )
    .expect("written");
    let gzipped = sample.gzipped.clone();
    let server = Server::start(move |_| Reply::content(&gzipped));
    fetch_well(&sample, &cache, &[server.url()]);
}

#[test]
fn of_several_processes_one_downloads() {
    let sample = Sample::new();
    let cache = cache();
    let gzipped = sample.gzipped.clone();
    let server = Server::start(move |_| Reply::content(&gzipped));
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| fetch_well(&sample, &cache, &[server.url()]));
        }
    });
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_cache_that_cannot_be_created_is_a_local_error() {
    let sample = Sample::new();
    let cache = cache();
    let blocked = cache.path().join("file");
    fs::write(&blocked, b"").expect("written");
    let mut source = source(&cache, &[refusing()]);
    source.cache = blocked.join("below");
    let error = fetch(sample.file, &source, &mut |_| {}).expect_err("a file is in the way");
    assert!(
        matches!(
            error,
            DatasetError::Io {
                action: "create",
                ..
            }
        ),
        "{error}"
    );
}
