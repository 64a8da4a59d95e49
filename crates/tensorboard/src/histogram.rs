//! Histograms over buckets of equal width, as TensorFlow 2 makes them.

use crate::messages::HistogramProto;

const BUCKETS: usize = 64;

pub(crate) fn summarize(numbers: &[f32]) -> HistogramProto {
    let finite = || {
        let numbers = numbers.iter().filter(|number| number.is_finite());
        numbers.map(|&number| f64::from(number))
    };
    let min = finite().fold(f64::INFINITY, f64::min);
    let max = finite().fold(f64::NEG_INFINITY, f64::max);
    if min > max {
        return HistogramProto::default();
    }
    let width = (max - min) / BUCKETS as f64;
    let mut histogram = HistogramProto {
        min,
        max,
        num: finite().count() as f64,
        sum: finite().sum(),
        sum_squares: finite().map(|number| number * number).sum(),
        bucket_limit: vec![max],
        bucket: vec![0.0],
    };
    if width > 0.0 {
        let inner = (1..BUCKETS).map(|bucket| min + width * bucket as f64);
        histogram.bucket_limit = inner.chain([max]).collect();
        histogram.bucket = vec![0.0; BUCKETS];
    }
    let last = histogram.bucket.len() - 1;
    for number in finite() {
        let bucket = if last == 0 {
            0.0
        } else {
            (number - min) / width
        };
        histogram.bucket[(bucket as usize).min(last)] += 1.0;
    }
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_number_is_in_one_bucket() {
        let numbers: Vec<f32> = (0..640).map(|number| number as f32 / 10.0).collect();
        let histogram = summarize(&[&numbers[..], &[f32::NAN, f32::INFINITY]].concat());
        assert_eq!((histogram.num, histogram.min), (640.0, 0.0));
        assert_eq!(histogram.bucket.iter().sum::<f64>(), 640.0);
        assert!(
            histogram
                .bucket
                .iter()
                .all(|&count| (9.0..=11.0).contains(&count))
        );
        assert_eq!(histogram.bucket_limit.last(), Some(&histogram.max));
    }

    #[test]
    fn equal_numbers_share_a_bucket_and_none_has_none() {
        assert_eq!(summarize(&[2.0; 5]).bucket, [5.0]);
        assert_eq!(summarize(&[f32::NAN]), HistogramProto::default());
    }
}
