//! Times the same files in Pillow.

use std::{path::Path, process::Command, time::Duration};

/// Prints the median of a picture that is opened, reduced to a thumbnail and read.
const SCRIPT: &str = r#"
import sys, time, warnings
from PIL import Image
warnings.simplefilter("ignore")
Image.MAX_IMAGE_PIXELS = None
def read(path):
    with Image.open(path) as image:
        image.draft("RGB", (224, 224))
        image.thumbnail((224, 224))
        return image.convert("RGB").tobytes()
times = []
begin = time.thread_time()
while len(times) < 7 or len(times) < 301 and time.thread_time() - begin < 0.8:
    start = time.thread_time()
    read(sys.argv[1])
    times.append(time.thread_time() - start)
print(sorted(times)[len(times) // 2])
"#;

/// The time of a thumbnail; `None` without Pillow.
pub fn time(file: &Path) -> Option<Duration> {
    let python = std::env::var("DIGITS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(python)
        .args(["-c", SCRIPT])
        .arg(file)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim().parse().ok().map(Duration::from_secs_f64)
}
