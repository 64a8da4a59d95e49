//! `digits_inference_model_info`: the series that name what is served, made anew at each scrape.
//!
//! A registered series cannot be taken back, and every hot load would leave one behind for ever. So these are not
//! registered but rendered from what serves at the moment.

use crate::model::Registry;
use digits_telemetry::metrics::Section;
use std::{fmt::Write as _, sync::Arc};

const NAME: &str = "digits_inference_model_info";

/// The series of all models, in the Prometheus text format.
#[must_use]
pub fn section(registry: Arc<Registry>) -> Section {
    Arc::new(move || render(&registry))
}

fn render(registry: &Registry) -> String {
    let mut text = format!("# HELP {NAME} 1 for what is served\n# TYPE {NAME} gauge\n");
    for model in registry.models() {
        let serving = model.serving();
        for served in serving.iter().flat_map(|serving| serving.all()) {
            let manifest = &served.checkpoint.manifest;
            let labels = [
                ("model", model.name.to_string()),
                ("role", served.role.as_str().to_owned()),
                ("checkpoint", manifest.id.to_string()),
                ("job_id", manifest.lineage.job.clone().unwrap_or_default()),
            ];
            let labels = labels.map(|(name, value)| format!("{name}=\"{}\"", escape(&value)));
            // Writing to a string does not fail.
            let _ = writeln!(text, "{NAME}{{{}}} 1", labels.join(","));
        }
    }
    text
}

/// A label's value as the text format wants it.
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
    fn values_are_escaped() {
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
    fn without_a_checkpoint_only_the_header_is_there() {
        let registry = Registry::new(&["digits".parse().expect("a model name")]);
        let text = render(&registry);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.lines().all(|line| line.starts_with("# ")), "{text}");
    }
}
