//! The Python interpreter with PyTorch, and its scripts.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python that has torch, if there is one: `DIGITS_PYTHON`, else `python3`.
pub fn python_with_torch() -> Option<PathBuf> {
    let python = std::env::var_os("DIGITS_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    let answers = Command::new(&python)
        // Without importing torch, which takes seconds.
        .args([
            "-c",
            "import importlib.util as u; assert all(map(u.find_spec, ['torch', 'numpy', 'safetensors']))",
        ])
        .output()
        .is_ok_and(|output| output.status.success());
    answers.then_some(python)
}

/// Path of a script of the end-to-end tests.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/python")
        .join(name)
}
