//! The binary `digits` on a storage folder whose file system has no hard links, as SMB, gcsfuse and
//! blobfuse have none.

use digits_dataset::{Images, idx};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Makes link(2) and linkat(2) fail with the error number in `LINK_ERROR`.
const NO_LINKS: &str = r#"
    #include <errno.h>
    #include <stdlib.h>
    static int fail(void) { errno = atoi(getenv("LINK_ERROR")); return -1; }
    int link(const char *a, const char *b) { (void)a; (void)b; return fail(); }
    int linkat(int a, const char *b, int c, const char *d, int e) {
        (void)a; (void)b; (void)c; (void)d; (void)e; return fail();
    }
"#;

fn library(dir: &Path) -> PathBuf {
    let (source, library) = (dir.join("links.c"), dir.join("links.so"));
    fs::write(&source, NO_LINKS).expect("a file");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status()
        .expect("a C compiler");
    assert!(compiled.success());
    library
}

/// A folder with a data set of two images for training and two for the test.
fn small_set(dir: &Path) {
    fs::create_dir(dir).expect("a folder");
    for part in ["train", "t10k"] {
        let images = Images {
            count: 2,
            height: 1,
            width: 2,
            pixels: vec![0, 255, 255, 0].into(),
        };
        let file = |kind: &str| dir.join(format!("{part}-{kind}-ubyte"));
        idx::write_images(&file("images-idx3"), &images).expect("written");
        idx::write_labels(&file("labels-idx1"), &[0, 1]).expect("written");
    }
}

#[test]
fn missing_hard_links_are_named_with_the_remedy() {
    let dir = tempfile::tempdir().expect("a folder");
    let library = library(dir.path());
    let (storage, data) = (dir.path().join("storage"), dir.path().join("data"));
    small_set(&data);
    let data_path = data.display().to_string();
    let push = ["dataset", "push", &data_path, "--name", "small"];
    let run = |arguments: &[&str], link_error: i32| {
        let output = Command::new(env!("CARGO_BIN_EXE_digits"))
            .args(arguments)
            .env("DIGITS_STORAGE", &storage)
            .env("LD_PRELOAD", &library)
            .env("LINK_ERROR", link_error.to_string())
            .output()
            .expect("the binary starts");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        (output.status.code(), text)
    };
    // EOPNOTSUPP, EPERM (FAT), ENOSYS (FUSE).
    for link_error in [95, 1, 38] {
        for (arguments, code) in [(&push[..], Some(69)), (&["doctor"], None)] {
            let (exit, text) = run(arguments, link_error);
            assert!(code.is_none() || exit == code, "{exit:?}: {text}");
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for part in ["has no hard links", "use a local disk", "NFS or a bucket"] {
                assert!(words.contains(part), "{link_error}: {part:?} in {text}");
            }
            assert!(!text.contains("that this user may write"), "{text}");
        }
    }
    // ENOSPC says nothing about the file system's abilities.
    let (exit, text) = run(&push, 28);
    assert_eq!(exit, Some(69), "{text}");
    assert!(!text.contains("hard links"), "{text}");
    // Nothing is left behind.
    let left = fs::read_dir(&storage).expect("the storage").flatten();
    let left: Vec<_> = left
        .filter(|it| it.path().is_file())
        .map(|it| it.file_name())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
