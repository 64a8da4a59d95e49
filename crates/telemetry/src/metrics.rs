//! The process's Prometheus recorder. The metrics themselves are declared by the crates that record
//! them.

mod histograms;
mod text;

pub use text::{Exposition, Family};

use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use metrics_process::Collector;

use histograms::Histograms;

/// Buckets for times in seconds: from 25 µs (one image through a small network) to a minute.
pub const DURATION_BUCKETS: &[f64] = &[
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Buckets for ratios from 0 to 1, finer near 1 where confidences lie.
pub const RATIO_BUCKETS: &[f64] = &[
    0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0,
];

/// Errors of installing the recorder.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A metric has no buckets.
    #[error("metric {metric} needs at least one bucket")]
    Buckets {
        /// The metric's full name.
        metric: String,
    },
    /// The process has a recorder already.
    #[error("the metrics recorder was installed twice")]
    Twice,
}

/// Writes series that come and go at each scrape. The recorder never forgets a series, so
/// short-lived ones are kept, in a bounded number, by their owner.
pub type Section = Arc<dyn Fn(&mut Exposition) + Send + Sync>;

/// Reads what the process has recorded; cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    handle: PrometheusHandle,
    histograms: Arc<Histograms>,
    sections: Vec<Section>,
    /// The process itself: `process_…`, as Prometheus' client libraries name them.
    process: Collector,
}

/// Records the metrics of the process: the exporter's counters and gauges, and own histograms.
pub struct Registry {
    exporter: PrometheusRecorder,
    histograms: Arc<Histograms>,
}

/// Installs the recorder of this process. Handles looked up before record nothing, so call it
/// first.
///
/// `buckets` gives the buckets by a histogram's full name; a histogram that is not named there gets
/// [`DURATION_BUCKETS`].
///
/// # Errors
/// When a metric has no buckets, or a recorder is installed already.
pub fn install(buckets: &[(&str, &[f64])]) -> Result<Recorder, InstallError> {
    let (registry, recorder) = build(buckets)?;
    metrics::set_global_recorder(registry).map_err(|_| InstallError::Twice)?;
    recorder.process.describe();
    Ok(recorder)
}

/// Makes a recorder without installing it, for tests with `metrics::with_local_recorder`.
///
/// # Errors
/// When a metric has no buckets.
pub fn build(buckets: &[(&str, &[f64])]) -> Result<(Registry, Recorder), InstallError> {
    if let Some((metric, _)) = buckets.iter().find(|(_, bounds)| bounds.is_empty()) {
        return Err(InstallError::Buckets {
            metric: (*metric).to_owned(),
        });
    }
    let registry = Registry {
        exporter: PrometheusBuilder::new().build_recorder(),
        histograms: Arc::new(Histograms::new(buckets, DURATION_BUCKETS)),
    };
    let recorder = Recorder {
        handle: registry.exporter.handle(),
        histograms: Arc::clone(&registry.histograms),
        sections: Vec::new(),
        process: Collector::default(),
    };
    Ok((registry, recorder))
}

impl metrics::Recorder for Registry {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.exporter.describe_counter(name, unit, help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.exporter.describe_gauge(name, unit, help);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.histograms.describe(name.as_str(), help);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.exporter.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.exporter.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.histograms.register(key)
    }
}

impl Recorder {
    /// Everything recorded so far, in the Prometheus text format. Takes milliseconds with many
    /// series: not for a runtime thread.
    #[must_use]
    pub fn render(&self) -> String {
        self.process.collect();
        let mut text = self.handle.render();
        self.histograms.render(&mut text);
        let mut scrape = Exposition::new(text);
        for section in &self.sections {
            section(&mut scrape);
        }
        scrape.into_text()
    }

    /// Appends the series of `section` to every scrape from now on. The recorder must not have its
    /// metrics too.
    #[must_use]
    pub fn with_section(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_have_buckets_and_are_never_summaries() {
        let (prometheus, recorder) =
            build(&[("t_ratio", RATIO_BUCKETS), ("t_odd", &[7.0])]).expect("buckets");
        metrics::with_local_recorder(&prometheus, || {
            metrics::histogram!("t_ratio").record(0.97);
            metrics::histogram!("t_odd").record(6.0);
            metrics::histogram!("t_unnamed_seconds").record(0.02);
        });
        let text = recorder.render();
        for line in [
            "# TYPE t_ratio histogram",
            r#"t_ratio_bucket{le="0.95"} 0"#,
            r#"t_ratio_bucket{le="0.99"} 1"#,
            r#"t_odd_bucket{le="7"} 1"#,
            r#"t_unnamed_seconds_bucket{le="0.01"} 0"#,
            r#"t_unnamed_seconds_bucket{le="0.025"} 1"#,
        ] {
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
        assert!(!text.contains("quantile"), "{text}");
    }

    #[test]
    fn an_empty_list_of_buckets_is_refused_by_name() {
        let error = build(&[("t_empty", &[])]).err().expect("refused");
        assert!(error.to_string().contains("t_empty"), "{error}");
    }
}
