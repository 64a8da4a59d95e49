//! Converts points of a job's curves to samples: series, labels and timestamps.

use super::messages::{Label, Sample, TimeSeries, WriteRequest};
use crate::job::{CurveRow, JobId};

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

/// A row of the curves at its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// Milliseconds since 1970.
    pub(super) at_ms: i64,
    /// In the order of [`SERIES`].
    values: [f64; SERIES.len()],
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

/// Points of one job that are pushed in one request. A receiver accepts or refuses a request as a
/// whole, and one job's bad point must not lose the points of another job.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Batch {
    pub(super) job: JobId,
    pub(super) points: Vec<Point>,
    /// Time at which the series end, if they do.
    pub(super) end_ms: Option<i64>,
}

impl Batch {
    /// Number of samples, without staleness markers.
    pub(super) fn samples(&self) -> u64 {
        (self.points.len() * SERIES.len()) as u64
    }

    /// Timestamp of the latest sample.
    pub(super) fn latest_ms(&self) -> i64 {
        let last = self.points.last().map(|point| point.at_ms);
        self.end_ms.or(last).unwrap_or(i64::MIN)
    }

    /// The message of the push.
    pub(super) fn request(&self) -> WriteRequest {
        let series = |(index, name): (usize, &&str)| TimeSeries {
            labels: vec![
                Label::new("__name__", *name),
                Label::new("job_id", self.job.to_string()),
            ],
            samples: self
                .points
                .iter()
                .map(|point| (point.values[index], point.at_ms))
                .chain(self.end_ms.map(|end| (f64::from_bits(STALE), end)))
                .map(|(value, timestamp)| Sample { value, timestamp })
                .collect(),
        };
        WriteRequest {
            timeseries: SERIES.iter().enumerate().map(series).collect(),
        }
    }
}

/// Points of a running job that are not yet in a batch.
pub(super) struct Pending {
    job: JobId,
    points: Vec<Point>,
    last_ms: i64,
}

impl Pending {
    pub(super) fn new(job: JobId) -> Self {
        Self {
            job,
            points: Vec::new(),
            last_ms: i64::MIN,
        }
    }

    /// Timestamps of a series must increase: a point of the same millisecond, or one after the
    /// clock was set back, gets the next free millisecond.
    pub(super) fn add(&mut self, mut point: Point) {
        point.at_ms = point.at_ms.max(self.last_ms.saturating_add(1));
        self.last_ms = point.at_ms;
        self.points.push(point);
    }

    pub(super) fn len(&self) -> usize {
        self.points.len()
    }

    /// Takes the pending points as a batch; `None` if there are none.
    pub(super) fn take(&mut self) -> Option<Batch> {
        let points = std::mem::take(&mut self.points);
        (!points.is_empty()).then_some(Batch {
            job: self.job,
            points,
            end_ms: None,
        })
    }

    /// Takes the pending points and the end of the series; `None` if the job never had a point.
    pub(super) fn end(self) -> Option<Batch> {
        (self.last_ms > i64::MIN).then(|| Batch {
            job: self.job,
            points: self.points,
            end_ms: Some(self.last_ms.saturating_add(1)),
        })
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
    fn timestamps_of_a_series_increase() {
        let mut pending = Pending::new(JobId::generate());
        for at_us in [5_000, 5_100, 5_999, 9_000, 7_000] {
            pending.add(Point::from(&row(at_us, 1)));
        }
        let batch = pending.end().expect("points");
        let times: Vec<i64> = batch.points.iter().map(|point| point.at_ms).collect();
        assert_eq!(times, [5, 6, 7, 9, 10]);
        assert_eq!(batch.latest_ms(), 11);
    }

    #[test]
    fn a_batch_is_six_series_with_sorted_labels_and_an_end() {
        let job = JobId::generate();
        let mut pending = Pending::new(job);
        pending.add(Point::from(&row(5_000, 7)));
        let request = pending.end().expect("a point").request();
        assert_eq!(request.timeseries.len(), SERIES.len());
        for (series, name) in request.timeseries.iter().zip(SERIES) {
            let labels = [
                Label::new("__name__", name),
                Label::new("job_id", job.to_string()),
            ];
            assert_eq!(series.labels, labels);
            assert_eq!(series.samples[1].value.to_bits(), STALE);
        }
        let values = request
            .timeseries
            .iter()
            .map(|series| series.samples[0].value);
        assert_eq!(
            values.collect::<Vec<f64>>(),
            [0.5, 0.25, 0.9, 0.1, 1e6, 7.0]
        );
    }

    #[test]
    fn a_job_without_a_point_has_no_end() {
        assert!(Pending::new(JobId::generate()).end().is_none());
    }
}
