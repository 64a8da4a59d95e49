//! The series that name served checkpoints and their training sets, rendered at each scrape.
//!
//! A registered series stays until the process ends, and every hot load would leave some behind. So
//! these are not registered but rendered from the serving snapshots.

use crate::{
    metrics::{LABELS, label_name},
    model::{ActiveRoute, Registry},
};
use digits_telemetry::metrics::{Exposition, Section};
use std::sync::Arc;

/// The series of all models.
#[must_use]
pub fn section(registry: Arc<Registry>) -> Section {
    Arc::new(move |scrape| render(&registry, scrape))
}

fn render(registry: &Registry, scrape: &mut Exposition) {
    // Read once, so that both families are of the same snapshots.
    let models: Vec<_> = registry
        .models()
        .map(|model| (model.name.as_str(), model.snapshot()))
        .collect();
    let mut infos = scrape.gauge(
        "digits_inference_model_info",
        "1 for each checkpoint that is served; earlier ones have no series",
    );
    for (model, snapshot) in &models {
        for route in snapshot.iter().flat_map(|snapshot| snapshot.routes()) {
            let manifest = &route.checkpoint.manifest;
            let labels = [
                ("model", *model),
                ("role", route.role.as_str()),
                ("checkpoint", &manifest.id.to_string()),
                (
                    "job_id",
                    manifest.lineage.job.as_deref().unwrap_or_default(),
                ),
            ];
            infos.series(&labels, 1.0);
        }
    }
    let mut shares = scrape.gauge(
        "digits_inference_training_labels_ratio",
        "share of the label in the served checkpoint's training set",
    );
    for (model, snapshot) in &models {
        for route in snapshot.iter().flat_map(|snapshot| snapshot.routes()) {
            for (label, share) in training_shares(route) {
                let labels = [
                    ("model", *model),
                    ("role", route.role.as_str()),
                    ("label", &label),
                ];
                shares.series(&labels, share);
            }
        }
    }
}

/// Label shares of the training set; empty if the manifest has no figures of it.
fn training_shares(route: &ActiveRoute) -> Vec<(String, f64)> {
    let training = route.checkpoint.manifest.training.as_ref();
    shares(training.map_or(&[], |training| &training.label_counts))
}

/// Share of each label by its name; labels that predictions count as `other` are `other` here too.
fn shares(counts: &[u64]) -> Vec<(String, f64)> {
    // The sum of numbers from a file may be more than an integer holds.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_all_and_bounded_by_label() {
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
    fn without_a_checkpoint_only_the_headers_are_there() {
        let registry = Registry::new(&["digits".parse().expect("a model name")]);
        let mut scrape = Exposition::default();
        render(&registry, &mut scrape);
        let text = scrape.into_text();
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.lines().all(|line| line.starts_with("# ")), "{text}");
    }
}
