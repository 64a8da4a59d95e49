//! Times pictures as people send them: decoding and normalization as in the service, beside bare
//! decoding and Pillow, with the memory that a process needs for one picture.
//!
//! `cargo bench -p digits-picture [FOLDER]`; the pictures are written to FOLDER, a temporary one by
//! default. `DIGITS_PYTHON` names the Python whose Pillow is used. All times are medians of the
//! thread's own processor time, so other work on the machine matters little.

mod drawing;
mod memory;
mod pillow;

use anyhow::{Context as _, Result};
use digits_picture::{Limits, Normalizer, Picture, Recipe, decode};
use drawing::Kind;
use rustix::time::{ClockId, clock_gettime};
use std::{
    env, fs,
    hint::black_box,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

/// Time that repetitions of one step take, and how many there are.
const TIME: Duration = Duration::from_millis(800);
const RUNS: RangeInclusive<usize> = 7..=301;
const NORMALIZER: Normalizer = Normalizer {
    height: 28,
    width: 28,
    recipe: Recipe::Mnist,
};

fn main() -> Result<()> {
    let given: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    if let [option, file] = &given[..]
        && option == memory::OPTION
    {
        return memory::print_peak(|| {
            let picture = read(&fs::read(file)?)?;
            black_box(NORMALIZER.picture(&picture));
            Ok(())
        });
    }
    let temporary = tempfile::tempdir()?;
    let folder = given
        .first()
        .map_or(temporary.path().to_owned(), PathBuf::from);
    fs::create_dir_all(&folder)?;
    println!("Milliseconds, medians. Pillow: draft to at least 224 pixels, then thumbnail to 224.");
    println!("Bare: decoding alone; JPEG at the scale that is enough for 640 pixels.\n");
    println!(
        "| picture | kB | both steps | decoding | normalizing | bare | Pillow | both / bare | both / Pillow | peak MB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for kind in Kind::ALL {
        let file = folder.join(kind.file_name());
        if !file.exists() {
            fs::write(&file, kind.encoded())?;
        }
        println!("| {} | {} |", kind.name(), row(&file)?);
    }
    Ok(())
}

/// The columns of a picture.
fn row(file: &Path) -> Result<String> {
    let encoded = fs::read(file)?;
    let decoded = read(&encoded).with_context(|| format!("{}", file.display()))?;
    let decoding = median(|| drop(black_box(read(&encoded))));
    let normalizing = median(|| drop(black_box(NORMALIZER.picture(&decoded))));
    let both = median(|| {
        let picture = read(&encoded).map(|picture| NORMALIZER.picture(&picture));
        drop(black_box(picture));
    });
    let bare = median(|| drop(black_box(drawing::bare(&encoded))));
    let pillow = pillow::time(file);
    let ratio = |to: Duration| format!("{:.2}", both.as_secs_f64() / to.as_secs_f64());
    let columns = [
        encoded.len().div_ceil(1000).to_string(),
        milliseconds(both),
        milliseconds(decoding),
        milliseconds(normalizing),
        milliseconds(bare),
        pillow.map_or("not installed".to_owned(), milliseconds),
        ratio(bare),
        pillow.map_or(String::new(), ratio),
        format!("{:.0}", memory::peak_of(file)? as f64 / 1e6),
    ];
    Ok(columns.join(" | "))
}

fn read(encoded: &[u8]) -> Result<Picture> {
    Ok(decode(encoded, Limits::default())?)
}

fn milliseconds(time: Duration) -> String {
    let time = time.as_secs_f64() * 1e3;
    let decimals = if time < 10.0 { 2 } else { 0 };
    format!("{time:.decimals$}")
}

/// Median processor time of `run`.
fn median(mut run: impl FnMut()) -> Duration {
    let clock = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
    };
    let mut times = Vec::new();
    let begin = clock();
    while times.len() < *RUNS.start()
        || (times.len() < *RUNS.end() && clock().saturating_sub(begin) < TIME)
    {
        let start = clock();
        run();
        times.push(clock().saturating_sub(start));
    }
    times.sort_unstable();
    times[times.len() / 2]
}
