//! Converts points of a job's curves to samples: series, labels and timestamps.

use super::messages::{Label, Sample, TimeSeries, WriteRequest};
use crate::job::{CurveRow, JobId};
use std::{sync::Arc, time::Instant};

/// Names of a job's series. They differ from the scraped gauges, so that no series mixes both.
pub(super) const SERIES: [&str; 6] = [
    "digits_trainer_curve_train_loss",
    "digits_trainer_curve_validation_loss",
    "digits_trainer_curve_validation_accuracy_ratio",
    "digits_trainer_curve_learning_rate",
    "digits_trainer_curve_samples_per_second",
    "digits_trainer_curve_step",
];

/// Staleness marker that ends a series; without it, Prometheus repeats the last sample for five
/// minutes. Only this NaN bit pattern is the marker (prometheus/model/value/value.go).
pub(super) const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Values of all series, in the order of [`SERIES`], at a time in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) at_ms: i64,
    pub(super) values: [f64; SERIES.len()],
}

impl Point {
    /// The end of all series.
    pub(super) fn end(at_ms: i64) -> Self {
        Self {
            at_ms,
            values: [f64::from_bits(STALE); SERIES.len()],
        }
    }

    pub(super) fn is_end(&self) -> bool {
        self.values[0].to_bits() == STALE
    }

    /// Number of samples; staleness markers do not count.
    pub(super) fn samples(&self) -> u64 {
        if self.is_end() {
            0
        } else {
            SERIES.len() as u64
        }
    }
}

impl From<&CurveRow> for Point {
    fn from(row: &CurveRow) -> Self {
        Self {
            at_ms: row.at_us.div_euclid(1_000),
            values: [
                row.train_loss,
                row.validation.loss,
                row.validation.accuracy(),
                row.learning_rate,
                row.samples_per_second,
                row.step as f64,
            ],
        }
    }
}

/// Timestamps of a series, which must increase: a point of the same millisecond, or one after the
/// clock was set back, gets the next free millisecond. The same points always get the same ones.
#[derive(Default)]
pub(super) struct Timestamps {
    last_ms: Option<i64>,
}

impl Timestamps {
    /// The point of the next row.
    pub(super) fn point(&mut self, row: &CurveRow) -> Point {
        let mut point = Point::from(row);
        point.at_ms = self.next(row.at_us);
        point
    }

    /// The time in milliseconds of what follows, taken at `at_us`.
    pub(super) fn next(&mut self, at_us: i64) -> i64 {
        let free = self.last_ms.map_or(i64::MIN, |last| last.saturating_add(1));
        let at_ms = at_us.div_euclid(1_000).max(free);
        self.last_ms = Some(at_ms);
        at_ms
    }
}

/// Labels of a job's series.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) job: JobId,
    /// The job's name; may be empty, which to Prometheus is a label that is absent.
    pub(super) name: String,
}

/// Points of one job, which are pushed in one request. A receiver accepts or refuses a request as
/// a whole, and one job's bad point must not lose the points of another job.
pub(super) struct Batch {
    pub(super) labels: Arc<Labels>,
    /// By time, ascending; at least one.
    pub(super) points: Vec<Point>,
    /// When the oldest point was queued.
    pub(super) since: Instant,
}

impl Batch {
    /// Number of samples; staleness markers do not count.
    pub(super) fn samples(&self) -> u64 {
        self.points.iter().map(Point::samples).sum()
    }

    /// Timestamp of the latest sample.
    pub(super) fn latest_ms(&self) -> i64 {
        self.points.last().map_or(i64::MIN, |point| point.at_ms)
    }

    /// The message of the push.
    pub(super) fn request(&self) -> WriteRequest {
        let Labels { job, name } = &*self.labels;
        let series = |(index, series): (usize, &&str)| {
            let labels = [
                ("__name__", (*series).to_owned()),
                ("job_id", job.to_string()),
                ("name", name.clone()),
            ];
            let samples = self.points.iter().map(|point| Sample {
                value: point.values[index],
                timestamp: point.at_ms,
            });
            TimeSeries {
                labels: labels
                    .into_iter()
                    .filter(|(_, value)| !value.is_empty())
                    .map(|(label, value)| Label::new(label, value))
                    .collect(),
                samples: samples.collect(),
            }
        };
        WriteRequest {
            timeseries: SERIES.iter().enumerate().map(series).collect(),
        }
    }
}

#[cfg(test)]
pub(super) fn row(at_us: i64, step: u64) -> CurveRow {
    CurveRow {
        at_us,
        step,
        epoch: 1,
        step_in_epoch: 1,
        train_loss: 0.5,
        validation: digits_checkpoint::manifest::Evaluation {
            images: 10,
            correct: 9,
            loss: 0.25,
            loss_batch_mean: 0.3,
            batch_size: 10,
        },
        learning_rate: 0.1,
        samples_per_second: 1e6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_six_series_with_sorted_labels_and_an_end() {
        let job = JobId::generate();
        let batch = |name: &str| Batch {
            labels: Arc::new(Labels {
                job,
                name: name.to_owned(),
            }),
            points: vec![Point::from(&row(5_000, 7)), Point::end(6)],
            since: Instant::now(),
        };
        let request = batch("night run").request();
        assert_eq!(batch("night run").samples(), 6);
        assert_eq!(request.timeseries.len(), SERIES.len());
        for (series, name) in request.timeseries.iter().zip(SERIES) {
            let labels = [
                Label::new("__name__", name),
                Label::new("job_id", job.to_string()),
                Label::new("name", "night run"),
            ];
            assert_eq!(series.labels, labels);
            assert_eq!(series.samples[1].value.to_bits(), STALE);
            assert_eq!(series.samples[1].timestamp, 6);
        }
        let values = request
            .timeseries
            .iter()
            .map(|series| series.samples[0].value);
        assert_eq!(
            values.collect::<Vec<f64>>(),
            [0.5, 0.25, 0.9, 0.1, 1e6, 7.0]
        );
        let unnamed = batch("").request();
        assert_eq!(unnamed.timeseries[0].labels.len(), 2);
    }
}
