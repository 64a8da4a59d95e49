//! Metric series whose labels name checkpoints, rendered from the snapshots at each scrape.
//!
//! A registered series cannot be removed, and every hot load would leave some behind for ever.

use crate::{
    metrics::{LABELS, label_name},
    model::{ActiveRoute, Registry},
};
use digits_telemetry::metrics::Section;
use std::{fmt::Write as _, sync::Arc};

const INFO: &str = "digits_inference_model_info";
const TRAINING_LABELS: &str = "digits_inference_training_labels_ratio";

/// The series of all models, in the Prometheus text format.
#[must_use]
pub fn section(registry: Arc<Registry>) -> Section {
    Arc::new(move || render(&registry))
}

fn render(registry: &Registry) -> String {
    let mut infos = format!(
        "# HELP {INFO} 1 for each checkpoint that is served; earlier ones have no series\n# TYPE {INFO} gauge\n"
    );
    let mut labels = format!(
        "# HELP {TRAINING_LABELS} share of the label in the served checkpoint's training set\n\
         # TYPE {TRAINING_LABELS} gauge\n"
    );
    for model in registry.models() {
        let snapshot = model.snapshot();
        for route in snapshot.iter().flat_map(|snapshot| snapshot.routes()) {
            info(&mut infos, model.name.as_str(), route);
            training_labels(&mut labels, model.name.as_str(), route);
        }
    }
    infos + &labels
}

fn info(text: &mut String, model: &str, route: &ActiveRoute) {
    let manifest = &route.checkpoint.manifest;
    let labels = [
        ("model", model),
        ("role", route.role.as_str()),
        ("checkpoint", &manifest.id.to_string()),
        (
            "job_id",
            manifest.lineage.job.as_deref().unwrap_or_default(),
        ),
    ];
    let labels = labels.map(|(name, value)| format!("{name}=\"{}\"", escape(value)));
    // Writing to a string does not fail.
    let _ = writeln!(text, "{INFO}{{{}}} 1", labels.join(","));
}

/// Writes nothing if the manifest has no figures of the training set.
fn training_labels(text: &mut String, model: &str, route: &ActiveRoute) {
    let training = route.checkpoint.manifest.training.as_ref();
    let counts = training.map_or(&[][..], |training| &training.label_counts);
    let (model, role) = (escape(model), route.role.as_str());
    for (label, share) in shares(counts) {
        // As above.
        let _ = writeln!(
            text,
            "{TRAINING_LABELS}{{model=\"{model}\",role=\"{role}\",label=\"{label}\"}} {share}"
        );
    }
}

/// Share of each label by its name; labels that predictions count as `other` are `other` here too.
fn shares(counts: &[u64]) -> Vec<(String, f64)> {
    // The sum of numbers from a file may overflow an integer.
    let sum = |counts: &[u64]| counts.iter().map(|&count| count as f64).sum::<f64>();
    let all = sum(counts);
    let (named, others) = counts.split_at(counts.len().min(LABELS));
    let others = (!others.is_empty()).then(|| sum(others));
    let counts = named.iter().map(|&count| count as f64).chain(others);
    counts
        .enumerate()
        .filter(|_| all > 0.0)
        .map(|(index, count)| (label_name(index), count / all))
        .collect()
}

/// Escapes a label's value for the text format.
fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        for (value, expected) in [
            ("job-1", "job-1"),
            ("a\"b", "a\\\"b"),
            ("a\\b", "a\\\\b"),
            ("a\nb", "a\\nb"),
        ] {
            assert_eq!(escape(value), expected);
        }
    }

    #[test]
    fn shares_add_up_and_have_bounded_labels() {
        for (counts, expected) in [
            (&[3, 1][..], vec![("0", 0.75), ("1", 0.25)]),
            (&[], vec![]),
            (&[0, 0], vec![]),
        ] {
            let expected: Vec<(String, f64)> = expected
                .into_iter()
                .map(|(label, share)| (label.to_owned(), share))
                .collect();
            assert_eq!(shares(counts), expected, "{counts:?}");
        }
        let many = shares(&[1; LABELS * 4]);
        assert_eq!(many.len(), LABELS + 1);
        assert_eq!(many[LABELS - 1], ((LABELS - 1).to_string(), 0.25 / 64.0));
        assert_eq!(many[LABELS], ("other".to_owned(), 0.75));
    }

    #[test]
    fn without_a_checkpoint_there_are_only_headers() {
        let registry = Registry::new(&["digits".parse().expect("a model name")]);
        let text = render(&registry);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.lines().all(|line| line.starts_with("# ")), "{text}");
    }
}
