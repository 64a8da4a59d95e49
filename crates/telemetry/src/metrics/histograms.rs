//! Histograms with fixed buckets: a sample is two additions.
//!
//! The exporter's own keep each sample until they are drained, which costs about 5 % of a small
//! unary request, and memory that grows with the load.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{Histogram, HistogramFn, Key, SharedString};

use super::text::{escape, escape_help};

/// Upper bounds, ascending.
type Bounds = Arc<[f64]>;

/// Every histogram of the process.
pub(super) struct Histograms {
    /// By full name.
    bounds: HashMap<String, Bounds>,
    default: Bounds,
    families: Mutex<BTreeMap<String, Family>>,
}

/// The histograms of one name, which differ in their labels.
#[derive(Default)]
struct Family {
    help: Option<SharedString>,
    /// As they were registered; there are few.
    series: Vec<(Key, Arc<Series>)>,
}

struct Series {
    bounds: Bounds,
    /// One for each bound, and one for what is larger. Not cumulated.
    counts: Box<[AtomicU64]>,
    /// An `f64` in bits.
    sum: AtomicU64,
}

impl Histograms {
    pub(super) fn new(buckets: &[(&str, &[f64])], default: &[f64]) -> Self {
        Self {
            bounds: buckets
                .iter()
                .map(|&(name, bounds)| (name.to_owned(), bounds.into()))
                .collect(),
            default: default.into(),
            families: Mutex::default(),
        }
    }

    fn families(&self) -> MutexGuard<'_, BTreeMap<String, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first description of a name stays.
    pub(super) fn describe(&self, name: &str, help: SharedString) {
        let mut families = self.families();
        let family = families.entry(name.to_owned()).or_default();
        family.help.get_or_insert(help);
    }

    /// The histogram of a name and labels. Registering it again gives the same one.
    pub(super) fn register(&self, key: &Key) -> Histogram {
        let mut families = self.families();
        let family = families.entry(key.name().to_owned()).or_default();
        if let Some((_, series)) = family.series.iter().find(|(known, _)| known == key) {
            return Histogram::from_arc(Arc::clone(series));
        }
        let bounds = self.bounds.get(key.name()).unwrap_or(&self.default);
        let series = Arc::new(Series::new(Arc::clone(bounds)));
        family.series.push((key.clone(), Arc::clone(&series)));
        Histogram::from_arc(series)
    }

    /// Appends every histogram in the Prometheus text format.
    pub(super) fn render(&self, text: &mut String) {
        for (name, family) in &*self.families() {
            if family.series.is_empty() {
                continue;
            }
            if let Some(help) = &family.help {
                let _ = writeln!(text, "# HELP {name} {}", escape_help(help));
            }
            let _ = writeln!(text, "# TYPE {name} histogram");
            for (key, series) in &family.series {
                series.render(name, &labels(key), text);
            }
            text.push('\n');
        }
    }
}

impl Series {
    fn new(bounds: Bounds) -> Self {
        Self {
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            bounds,
            sum: AtomicU64::new(0.0_f64.to_bits()),
        }
    }

    /// `labels` end in a comma if there are any. The count is the sum of the buckets that were
    /// read, whatever is recorded meanwhile.
    fn render(&self, name: &str, labels: &str, text: &mut String) {
        let mut count = 0;
        for (index, bucket) in self.counts.iter().enumerate() {
            count += bucket.load(Relaxed);
            let bound = self.bounds.get(index).copied();
            let bound = bound.map_or(Cow::Borrowed("+Inf"), |it| it.to_string().into());
            let _ = writeln!(text, "{name}_bucket{{{labels}le=\"{bound}\"}} {count}");
        }
        let sum = f64::from_bits(self.sum.load(Relaxed));
        let labels = match labels.strip_suffix(',') {
            Some(labels) => format!("{{{labels}}}"),
            None => String::new(),
        };
        let _ = writeln!(text, "{name}_sum{labels} {sum}");
        let _ = writeln!(text, "{name}_count{labels} {count}");
    }
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        let bucket = self.bounds.iter().position(|&bound| value <= bound);
        let bucket = bucket.unwrap_or(self.bounds.len());
        self.counts[bucket].fetch_add(count as u64, Relaxed);
        let value = value * count as f64;
        let add = |sum: u64| Some((f64::from_bits(sum) + value).to_bits());
        let _ = self.sum.fetch_update(Relaxed, Relaxed, add);
    }
}

/// `name="value",` for each.
fn labels(key: &Key) -> String {
    key.labels().fold(String::new(), |mut text, label| {
        let _ = write!(text, "{}=\"{}\",", label.key(), escape(label.value()));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::Label;

    fn key(name: &'static str, labels: &[(&'static str, &'static str)]) -> Key {
        let labels: Vec<Label> = labels.iter().map(|&(k, v)| Label::new(k, v)).collect();
        Key::from_parts(name, labels)
    }

    #[test]
    fn samples_are_counted_in_their_buckets() {
        let histograms = Histograms::new(&[("t_odd", &[1.0, 2.5])], &[10.0]);
        histograms.describe("t_odd", "first\nof \\ all".into());
        histograms.describe("t_odd", "second".into());
        histograms.describe("t_unused", "never seen".into());
        let odd = histograms.register(&key("t_odd", &[("who", "a \"b\" \\ c")]));
        for value in [0.5, 1.0, 1.5, 7.0, f64::INFINITY] {
            odd.record(value);
        }
        let again = histograms.register(&key("t_odd", &[("who", "a \"b\" \\ c")]));
        again.record_many(2.0, 3);
        let nan = histograms.register(&key("t_plain", &[]));
        nan.record(f64::NAN);
        let mut text = String::new();
        histograms.render(&mut text);
        let expected = r#"# HELP t_odd first\nof \\ all
# TYPE t_odd histogram
t_odd_bucket{who="a \"b\" \\ c",le="1"} 2
t_odd_bucket{who="a \"b\" \\ c",le="2.5"} 6
t_odd_bucket{who="a \"b\" \\ c",le="+Inf"} 8
t_odd_sum{who="a \"b\" \\ c"} inf
t_odd_count{who="a \"b\" \\ c"} 8

# TYPE t_plain histogram
t_plain_bucket{le="10"} 0
t_plain_bucket{le="+Inf"} 1
t_plain_sum NaN
t_plain_count 1

"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn no_sample_is_lost_between_threads() {
        let histograms = Histograms::new(&[], &[0.5]);
        let one = key("t_many", &[]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let histogram = histograms.register(&one);
                scope.spawn(move || (0..10_000).for_each(|_| histogram.record(1.0)));
            }
        });
        let mut text = String::new();
        histograms.render(&mut text);
        assert!(text.contains("t_many_sum 40000\n"), "{text}");
        assert!(text.contains("t_many_count 40000\n"), "{text}");
    }
}
