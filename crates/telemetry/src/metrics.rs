//! The process's Prometheus recorder: fixed buckets, and upkeep. The metrics themselves are declared
//! by the crates that record them.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use metrics_process::Collector;
use tokio_util::sync::CancellationToken;

/// Buckets for times in seconds: from 25 µs (a small net on one picture) to a minute.
pub const DURATION_BUCKETS: &[f64] = &[
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Buckets for ratios from 0 to 1, finer near 1 where confidences lie.
pub const RATIO_BUCKETS: &[f64] = &[
    0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0,
];

/// Samples of histograms pile up in memory until they are drained into their buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Why the recorder could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A metric was given no buckets.
    #[error("metric {metric} needs at least one bucket")]
    Buckets {
        /// The metric's full name.
        metric: String,
        /// What the exporter said.
        source: BuildError,
    },
    /// The process has a recorder already.
    #[error("the metrics recorder was installed twice")]
    Twice,
}

/// Renders series that come and go: the recorder never forgets one, so a bounded set of short-lived ones is
/// kept by its owner and appended in the Prometheus text format.
pub type Section = Arc<dyn Fn() -> String + Send + Sync>;

/// Reads what the process has recorded; cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    handle: PrometheusHandle,
    sections: Vec<Section>,
    /// The process itself: `process_…`, as Prometheus' client libraries name them.
    process: Collector,
}

/// Installs the recorder of this process. Handles taken before this go nowhere, so call it first.
///
/// `buckets` gives the buckets by a histogram's full name; a histogram that is not named there gets
/// [`DURATION_BUCKETS`]: without buckets it would become a summary, and those cannot be summed
/// over replicas.
///
/// # Errors
/// When a metric has no buckets, or a recorder is installed already.
pub fn install(buckets: &[(&str, &[f64])]) -> Result<Recorder, InstallError> {
    let (prometheus, recorder) = build(buckets)?;
    metrics::set_global_recorder(prometheus).map_err(|_| InstallError::Twice)?;
    recorder.process.describe();
    Ok(recorder)
}

/// Makes a recorder without installing it, for tests with `metrics::with_local_recorder`.
///
/// # Errors
/// When a metric has no buckets.
pub fn build(buckets: &[(&str, &[f64])]) -> Result<(PrometheusRecorder, Recorder), InstallError> {
    let mut builder =
        set_buckets("(default)", |b| b.set_buckets(DURATION_BUCKETS))(PrometheusBuilder::new())?;
    for &(metric, values) in buckets {
        builder = set_buckets(metric, |b| {
            b.set_buckets_for_metric(Matcher::Full(metric.to_owned()), values)
        })(builder)?;
    }
    let prometheus = builder.build_recorder();
    let recorder = Recorder {
        handle: prometheus.handle(),
        sections: Vec::new(),
        process: Collector::default(),
    };
    Ok((prometheus, recorder))
}

fn set_buckets<F>(
    metric: &str,
    set: F,
) -> impl FnOnce(PrometheusBuilder) -> Result<PrometheusBuilder, InstallError>
where
    F: FnOnce(PrometheusBuilder) -> Result<PrometheusBuilder, BuildError>,
{
    move |builder| {
        set(builder).map_err(|source| InstallError::Buckets {
            metric: metric.to_owned(),
            source,
        })
    }
}

impl Recorder {
    /// Everything recorded so far, in the Prometheus text format. Takes milliseconds with many series:
    /// not for a runtime thread.
    #[must_use]
    pub fn render(&self) -> String {
        self.process.collect();
        let mut text = self.handle.render();
        for section in &self.sections {
            text.push_str(&section());
        }
        text
    }

    /// Appends what `section` gives to everything rendered from now on. Its metrics must not be recorded in
    /// another way too.
    #[must_use]
    pub fn with_section(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }

    /// Drains samples into their buckets every 5 s until `shutdown`.
    pub async fn upkeep(self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            let handle = self.handle.clone();
            if tokio::task::spawn_blocking(move || handle.run_upkeep())
                .await
                .is_err()
            {
                tracing::warn!("upkeep of the metrics failed once");
            }
        }
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

    #[tokio::test]
    async fn upkeep_ends_with_its_token() {
        let (_prometheus, recorder) = build(&[]).expect("buckets");
        let shutdown = CancellationToken::new();
        let upkeep = tokio::spawn(recorder.upkeep(shutdown.clone()));
        shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(5), upkeep)
            .await
            .expect("ends")
            .expect("no panic");
    }
}
