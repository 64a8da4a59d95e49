//! The metrics that `deploy/METRICS.md` names, and those that a query, a rule or a page mentions.

use anyhow::{Context as _, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The page's type of metrics that are pushed, not scraped.
pub const PUSHED: &str = "pushed";

/// The page's type of metrics that only a machine with a GPU has.
pub const OF_A_GPU: &str = "gauge (GPU)";

/// Suffixes of a histogram's series.
const OF_A_HISTOGRAM: [&str; 3] = ["_bucket", "_sum", "_count"];

/// A file of the repository, by its path from the root.
#[must_use]
pub fn repository(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

/// The text of a file of the repository.
///
/// # Errors
/// When it cannot be read; names it.
pub fn text(path: &str) -> Result<String> {
    fs::read_to_string(repository(path)).with_context(|| path.to_owned())
}

/// Metric → type, from the tables of `deploy/METRICS.md`, of the names that start with `prefix`.
///
/// # Errors
/// When the page cannot be read.
pub fn documented(prefix: &str) -> Result<BTreeMap<String, String>> {
    let page = text("deploy/METRICS.md")?;
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        name.starts_with(prefix)
            .then(|| Some((name.to_owned(), cells.next()?.to_owned())))?
    });
    Ok(rows.collect())
}

/// Names in a text that can only be metrics of ours, or figures recorded from them
/// (`level:metric:operation`).
#[must_use]
pub fn mentioned(text: &str) -> BTreeSet<String> {
    let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let names = names.map(|name| name.trim_matches(':'));
    names
        .filter(|name| {
            name.split(':').any(|part| {
                ["digits_trainer_", "digits_inference_", "process_"]
                    .iter()
                    .any(|prefix| part.starts_with(prefix))
            })
        })
        .map(str::to_owned)
        .collect()
}

/// Names in a text that are neither a metric of the page nor one of `recorded`.
///
/// # Errors
/// When the page cannot be read.
pub fn unknown(text: &str, recorded: &BTreeSet<String>) -> Result<Vec<String>> {
    let documented = documented("")?;
    let known = |name: &String| match name.contains(':') {
        true => recorded.contains(name),
        false => {
            let histogram = OF_A_HISTOGRAM
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .and_then(|base| documented.get(base));
            documented.contains_key(name) || histogram.is_some_and(|kind| kind == "histogram")
        }
    };
    let names = mentioned(text).into_iter();
    Ok(names.filter(|name| !known(name)).collect())
}

/// The metrics that `deploy/prometheus/rules.yml` records.
///
/// # Errors
/// When it cannot be read.
pub fn recorded() -> Result<BTreeSet<String>> {
    let rules = text("deploy/prometheus/rules.yml")?;
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "));
    Ok(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_queries() {
        let query = r#"sum by (le) (rate(digits_inference_ink_ratio_bucket{job="digits-inference"}[5m])) > job:digits_trainer_queue:ratio"#;
        let names: Vec<String> = mentioned(query).into_iter().collect();
        assert_eq!(
            names,
            [
                "digits_inference_ink_ratio_bucket",
                "job:digits_trainer_queue:ratio"
            ]
        );
    }

    #[test]
    fn only_exported_and_recorded_metrics_are_known() {
        let recorded = BTreeSet::from(["job:digits_trainer_queue:ratio".to_owned()]);
        for (text, expected) in [
            ("digits_trainer_jobs", None),
            ("digits_inference_compute_duration_seconds_bucket", None),
            ("job:digits_trainer_queue:ratio", None),
            // A gauge has no buckets.
            (
                "digits_trainer_jobs_bucket",
                Some("digits_trainer_jobs_bucket"),
            ),
            ("digits_trainer_nothing", Some("digits_trainer_nothing")),
            (
                "job:digits_trainer_queue:sum",
                Some("job:digits_trainer_queue:sum"),
            ),
        ] {
            let unknown = unknown(text, &recorded).expect("the page");
            assert_eq!(unknown.first().map(String::as_str), expected, "{text}");
        }
    }
}
