use super::*;
use crate::test_server::{Reply, Request, Server};
use flate2::{Compression, write::GzEncoder};
use std::io::Write as _;
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

/// Fetches the sample from the mirrors into the cache; what is there then is the sample and nothing else.
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
        "another content"
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

fn leave_part(cache: &TempDir, content: &[u8], origin: &str) {
    fs::write(cache.path().join(format!("{NAME}.gz.part")), content).expect("written");
    fs::write(cache.path().join(format!("{NAME}.gz.part.from")), origin).expect("written");
}

#[test]
fn a_download_reports_its_progress() {
    let sample = Sample::new();
    let gzipped = sample.gzipped.clone();
    let server = Server::start(move |request| Reply::content(request, &gzipped, "a"));
    let cache = cache();
    let seen = fetch_well(&sample, &cache, &[format!("{}/", server.url())]);
    let total = sample.gzipped.len() as u64;
    assert_eq!(seen.first(), Some(&(0, Some(total))));
    assert_eq!(seen.last(), Some(&(total, Some(total))));
    assert!(seen.is_sorted());
    assert_eq!(server.requests()[0].path, format!("/mnist/{NAME}.gz"));
    // The second time there is nothing to ask.
    assert!(fetch_well(&sample, &cache, &[server.url()]).is_empty());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_cut_connection_is_resumed_where_it_was_cut() {
    let sample = Sample::new();
    let gzipped = sample.gzipped.clone();
    let server = Server::start(move |request| {
        let reply = Reply::content(request, &gzipped, "a");
        if request.number < 5 {
            reply.cut_after(50_000)
        } else {
            reply
        }
    });
    fetch_well(&sample, &cache(), &[server.url()]);
    let requests = server.requests();
    let starts: Vec<usize> = requests
        .iter()
        .map(|request| request.from.unwrap_or(0))
        .collect();
    assert_eq!(starts, [0, 50_000, 100_000, 150_000, 200_000, 250_000]);
    assert!(
        requests[1..]
            .iter()
            .all(|request| request.if_range.as_deref() == Some("\"a\""))
    );
}

#[test]
fn another_process_resumes_what_one_left() {
    let sample = Sample::new();
    let cache = cache();
    let gzipped = sample.gzipped.clone();
    let server = Server::start(move |request| Reply::content(request, &gzipped, "a"));
    let origin = format!("{}/{NAME}.gz\n\"a\"\n", server.url());
    leave_part(&cache, &sample.gzipped[..70_000], &origin);
    fetch_well(&sample, &cache, &[server.url()]);
    assert_eq!(server.requests()[0].from, Some(70_000));

    // A whole part: the server has nothing behind it.
    fs::remove_file(cache.path().join(format!("{NAME}.gz"))).expect("removed");
    leave_part(&cache, &sample.gzipped, &origin);
    fetch_well(&sample, &cache, &[server.url()]);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_part_that_does_not_fit_is_fetched_anew() {
    let sample = Sample::new();
    let junk = vec![7; 9_000];
    type Answer = fn(&Request, &[u8]) -> Reply;
    let honest: Answer = |request, content| Reply::content(request, content, "a");
    let deaf: Answer = |_, content| Reply::content(&Request::default(), content, "a");
    let shifted: Answer = |request, content| {
        let mut reply = Reply::content(request, content, "a");
        if request.from.is_some() {
            reply.headers = vec!["Content-Range: bytes 3-9/10".to_owned()];
        }
        reply
    };
    let no_tag = "\n\n";
    for (case, answer, tag, requests) in [
        ("junk of the same address, no tag", honest, no_tag, 2),
        ("junk of another version", honest, "\n\"b\"\n", 1),
        ("junk and a weak tag", honest, "\nW/\"a\"\n", 2),
        ("no ranges", deaf, no_tag, 1),
        ("another range", shifted, no_tag, 2),
    ] {
        let cache = cache();
        let gzipped = sample.gzipped.clone();
        let server = Server::start(move |request| answer(request, &gzipped));
        leave_part(&cache, &junk, &format!("{}/{NAME}.gz{tag}", server.url()));
        fetch_well(&sample, &cache, &[server.url()]);
        assert_eq!(server.requests().len(), requests, "{case}");
    }
}

#[test]
fn a_part_of_another_mirror_is_not_resumed() {
    let sample = Sample::new();
    let cache = cache();
    let gzipped = sample.gzipped.clone();
    let server = Server::start(move |request| Reply::content(request, &gzipped, "a"));
    leave_part(
        &cache,
        &[7; 9_000],
        "http://127.0.0.1:1/mnist/other.gz\n\"a\"\n",
    );
    fetch_well(&sample, &cache, &[server.url()]);
    assert_eq!(server.requests()[0].from, None);
}

#[test]
fn a_bad_mirror_is_left_for_the_next() {
    let sample = Sample::new();
    let gzipped = sample.gzipped.clone();
    let good = Server::start(move |request| Reply::content(request, &gzipped, "a"));
    let other = gzip(b"another content");
    let wrong = Server::start(move |request| Reply::content(request, &other, "a"));
    let missing = Server::start(|_| Reply::status("404 Not Found"));
    let broken = Server::start(|_| Reply::status("503 Service Unavailable"));
    let huge = Server::start(|request| Reply::content(request, &vec![0; 400_000], "a"));
    let bomb = gzip(&vec![0; 100 << 20]);
    let bomb = Server::start(move |request| Reply::content(request, &bomb, "a"));
    let page = Server::start(|request| Reply::content(request, b"<html>please log in</html>", "a"));
    let bad = [&wrong, &missing, &broken, &huge, &bomb, &page];
    let mut mirrors: Vec<String> = bad.iter().map(|server| server.url()).collect();
    mirrors.push(refusing());
    mirrors.push("no address at all".to_owned());
    mirrors.push(good.url());
    fetch_well(&sample, &cache(), &mirrors);
    let asked: Vec<usize> = bad.iter().map(|server| server.requests().len()).collect();
    assert_eq!(
        asked,
        [1, 1, 3, 1, 1, 1],
        "only what may pass is tried again"
    );
}

/// An address where nobody listens.
fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("its address"))
}

#[test]
fn without_any_good_mirror_the_error_names_each_and_the_remedies() {
    let sample = Sample::new();
    let other = gzip(b"another content");
    let wrong = Server::start(move |request| Reply::content(request, &other, "a"));
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
    assert_eq!(names(&cache), [".lock"], "nothing is left behind");

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
    let server = Server::start(move |request| Reply::content(request, &gzipped, "a"));
    fetch_well(&sample, &cache, &[server.url()]);
}

#[test]
fn of_several_at_once_one_downloads() {
    let sample = Sample::new();
    let cache = cache();
    let gzipped = sample.gzipped.clone();
    let server = Server::start(move |request| Reply::content(request, &gzipped, "a"));
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| fetch_well(&sample, &cache, &[server.url()]));
        }
    });
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_cache_that_cannot_be_made_is_an_error_of_this_machine() {
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
