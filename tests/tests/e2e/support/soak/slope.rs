//! Slopes of samples over time: the median of the slopes between all pairs (Theil, 1950; Sen, 1968),
//! which a few outliers do not change.

use std::fmt::Write as _;

/// Samples of one resource.
#[derive(Debug)]
pub struct Series {
    /// What it is, with its unit.
    pub name: &'static str,
    /// The highest slope per hour that is no leak.
    pub bound: f64,
    /// What it may gain by chance over a run, however long.
    pub noise: f64,
    /// Hours since the begin, and the values then.
    pub points: Vec<(f64, f64)>,
}

/// The slope of a series.
#[derive(Debug)]
pub struct Slope {
    /// That of the series.
    pub name: &'static str,
    /// Medians of the first and of the last tenth.
    pub ends: [f64; 2],
    /// Per hour.
    pub slope: f64,
    /// The highest that is no leak, in a run of this length.
    bound: f64,
}

impl Slope {
    /// Of the samples after the warm-up, which lasts this many hours.
    #[must_use]
    pub fn of(series: &Series, warm_up: f64) -> Self {
        let points = series.points.iter().copied();
        let points: Vec<(f64, f64)> = points.filter(|(at, _)| *at >= warm_up).collect();
        let mut slopes = Vec::new();
        for (number, (at, value)) in points.iter().enumerate() {
            let later = points[number + 1..].iter();
            slopes.extend(later.map(|(then, other)| (other - value) / (then - at)));
        }
        let hours = match points[..] {
            [(begin, _), .., (end, _)] => end - begin,
            _ => f64::INFINITY,
        };
        let tenth = (points.len() / 10).max(1).min(points.len());
        let end = |points: &[(f64, f64)]| median(points.iter().map(|(_, value)| *value).collect());
        Self {
            name: series.name,
            ends: [end(&points[..tenth]), end(&points[points.len() - tenth..])],
            slope: median(slopes),
            bound: series.bound + series.noise / hours,
        }
    }

    /// Whether it is no leak.
    #[must_use]
    pub fn is_within_bound(&self) -> bool {
        self.slope <= self.bound
    }
}

/// A Markdown table, a line for each slope.
#[must_use]
pub fn table(slopes: &[Slope]) -> String {
    let mut text = "| resource | begin | end | slope per hour | bound |\n".to_owned();
    text.push_str("| --- | --- | --- | --- | --- |\n");
    for Slope {
        name,
        ends: [begin, end],
        slope,
        bound,
    } in slopes
    {
        let _ = writeln!(
            text,
            "| {name} | {begin:.1} | {end:.1} | {slope:+.1} | {bound:.0} |"
        );
    }
    text
}

/// 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slope(value: impl Fn(usize) -> f64) -> Slope {
        let points = (0..200).map(|number| (number as f64 / 200.0, value(number)));
        let series = Series {
            name: "descriptors",
            bound: 5.0,
            noise: 0.0,
            points: points.collect(),
        };
        Slope::of(&series, 0.25)
    }

    #[test]
    fn a_slow_leak_is_found_in_noise_and_a_warm_up_is_none() {
        let noise = |number: usize| ((number * 7_919) % 13) as f64 - 6.0;
        // 10 an hour, of which a run of an hour shows less than the noise.
        let leak = slope(|number| 100.0 + noise(number) + number as f64 / 20.0);
        assert!(
            !leak.is_within_bound() && (leak.slope - 10.0).abs() < 1.0,
            "{leak:?}"
        );
        let warm = slope(|number| 100.0 + noise(number) + number.min(50) as f64);
        assert!(warm.is_within_bound() && warm.slope.abs() < 1.0, "{warm:?}");
        let bursts = slope(|number| if number.is_multiple_of(9) { 900.0 } else { 3.0 });
        assert_eq!((bursts.slope, bursts.ends), (0.0, [3.0, 3.0]));
    }
}
