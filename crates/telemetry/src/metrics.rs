//! The process's Prometheus recorder. The metrics themselves are declared by the crates that record
//! them.

mod text;

pub use text::{Exposition, Family};

use std::sync::Arc;

use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use metrics_process::Collector;

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
        /// The exporter's error.
        source: BuildError,
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
    sections: Vec<Section>,
    /// The process itself: `process_…`, as Prometheus' client libraries name them.
    process: Collector,
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
    let (exporter, recorder) = build(buckets)?;
    metrics::set_global_recorder(exporter).map_err(|_| InstallError::Twice)?;
    recorder.process.describe();
    Ok(recorder)
}

/// Makes a recorder without installing it, for tests with `metrics::with_local_recorder`.
///
/// # Errors
/// When a metric has no buckets.
pub fn build(buckets: &[(&str, &[f64])]) -> Result<(PrometheusRecorder, Recorder), InstallError> {
    let refused = |metric: &str| {
        let metric = metric.to_owned();
        move |source| InstallError::Buckets { metric, source }
    };
    let builder = PrometheusBuilder::new().set_buckets(DURATION_BUCKETS);
    let mut builder = builder.map_err(refused("by default"))?;
    for &(metric, bounds) in buckets {
        builder = builder
            .set_buckets_for_metric(Matcher::Full(metric.to_owned()), bounds)
            .map_err(refused(metric))?;
    }
    let exporter = builder.build_recorder();
    let recorder = Recorder {
        handle: exporter.handle(),
        sections: Vec::new(),
        process: Collector::default(),
    };
    Ok((exporter, recorder))
}

impl Recorder {
    /// Everything recorded so far, in the Prometheus text format. Takes milliseconds with many
    /// series: not for a runtime thread.
    #[must_use]
    pub fn render(&self) -> String {
        self.process.collect();
        let mut scrape = Exposition::new(self.handle.render());
        for section in &self.sections {
            section(&mut scrape);
        }
        scrape.into_text()
    }

    /// Adds the newest samples of the histograms to their buckets. The exporter keeps each sample,
    /// of 16 bytes, until then. Takes about 5 ns for each: not for a runtime thread.
    pub fn drain_histograms(&self) {
        self.handle.run_upkeep();
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

    #[test]
    fn draining_keeps_every_sample() {
        let (exporter, recorder) = build(&[("t_many", &[0.5])]).expect("buckets");
        let histogram = metrics::with_local_recorder(&exporter, || metrics::histogram!("t_many"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let histogram = histogram.clone();
                scope.spawn(move || (0..10_000).for_each(|_| histogram.record(1.0)));
            }
            (0..10).for_each(|_| recorder.drain_histograms());
        });
        let text = recorder.render();
        assert!(text.contains("t_many_sum 40000\n"), "{text}");
        assert!(text.contains("t_many_bucket{le=\"0.5\"} 0\n"), "{text}");
        assert!(text.contains("t_many_count 40000\n"), "{text}");
    }
}
