//! Where the files are that targets and tests read.

use std::path::Path;

/// The repository of this crate.
pub(crate) fn repository() -> &'static Path {
    let this = Path::new(env!("CARGO_MANIFEST_DIR"));
    this.ancestors().nth(2).expect("tests/fuzz is in it")
}
