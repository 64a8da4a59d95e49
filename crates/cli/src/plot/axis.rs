//! Range, ticks and labels of an axis.

/// A range with ticks at round numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Value at the start.
    pub low: f64,
    /// Value at the end; more than `low`.
    pub high: f64,
    /// Values with a tick, each within the range.
    pub ticks: Vec<f64>,
    decimals: usize,
}

impl Axis {
    /// An axis over the finite values, with about `wanted` ticks and a margin at both ends, a
    /// fraction of the range.
    #[must_use]
    pub fn around(values: impl Iterator<Item = f64>, wanted: usize, margin: f64) -> Self {
        let finite = values.filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        // A single value is in the middle.
        let spread = if high > low {
            high - low
        } else {
            high.abs().max(1.0)
        };
        let around = if high > low {
            margin * spread
        } else {
            spread / 2.0
        };
        Self::new(low - around, high + around, wanted)
    }

    /// An axis of this very range.
    #[must_use]
    pub fn new(low: f64, high: f64, wanted: usize) -> Self {
        let step = round_step((high - low) / wanted.max(1) as f64);
        let first = (low / step).ceil() as i64;
        let last = (high / step).floor() as i64;
        let ticks = (first..=last)
            .take(100)
            .map(|index| index as f64 * step)
            .collect();
        let decimals = (-step.log10()).ceil().clamp(0.0, 9.0) as usize;
        // 0.25 and 2.5 need a digit more than their power of ten.
        let finer = (step * 10_f64.powi(decimals as i32)).fract() > 1e-6;
        Self {
            low,
            high,
            ticks,
            decimals: decimals + usize::from(finer),
        }
    }

    /// Position of a value on the axis, from 0 to 1.
    #[must_use]
    pub fn place(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// A tick as text.
    #[must_use]
    pub fn label(&self, tick: f64) -> String {
        let text = format!("{tick:.*}", self.decimals);
        if text.trim_start_matches(['-', '0', '.']).is_empty() {
            return text.trim_start_matches('-').to_owned();
        }
        text
    }
}

/// The smallest of 1, 2, 2.5, 5 and 10 times a power of ten that is not below `least`.
fn round_step(least: f64) -> f64 {
    if !(least.is_finite() && least > 0.0) {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0]
        .into_iter()
        .find(|factor| factor * power >= least * 0.999);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(low: f64, high: f64, wanted: usize, expected: &[&str]) {
        let axis = Axis::new(low, high, wanted);
        let labels: Vec<_> = axis.ticks.iter().map(|&tick| axis.label(tick)).collect();
        assert_eq!(labels, expected);
    }

    #[test]
    fn ticks_are_round_numbers() {
        check(0.0, 4220.0, 5, &["0", "1000", "2000", "3000", "4000"]);
        check(0.3, 2.4, 5, &["0.5", "1.0", "1.5", "2.0"]);
        check(9.0, 91.0, 4, &["25", "50", "75"]);
        check(
            0.0,
            0.01,
            5,
            &["0.000", "0.002", "0.004", "0.006", "0.008", "0.010"],
        );
        check(-1.0, 1.0, 2, &["-1", "0", "1"]);
        check(0.0, 1.0, 4, &["0.00", "0.25", "0.50", "0.75", "1.00"]);
    }

    #[test]
    fn any_values_have_a_range_with_ticks() {
        for values in [vec![], vec![f64::NAN], vec![3.0], vec![0.0], vec![1.0, 2.0]] {
            let axis = Axis::around(values.iter().copied(), 5, 0.05);
            assert!(
                axis.low < axis.high && !axis.ticks.is_empty(),
                "{values:?}: {axis:?}"
            );
        }
        assert!((Axis::around([3.0].into_iter(), 5, 0.05).place(3.0) - 0.5).abs() < 1e-12);
    }
}
