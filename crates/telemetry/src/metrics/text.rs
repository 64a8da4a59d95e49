//! Writes metric families in the Prometheus text format, for series that come and go: the recorder
//! never forgets one.
//!
//! The format: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write as _;

/// The text of one scrape.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// A metric with its series.
#[derive(Debug)]
pub struct Family<'t> {
    text: &'t mut String,
    name: &'t str,
}

impl Exposition {
    /// A scrape that begins with `text`.
    pub(super) fn new(text: String) -> Self {
        Self { text }
    }

    /// Begins a family of gauges. It is shown without series too, so that the metric is seen to
    /// exist.
    pub fn gauge<'t>(&'t mut self, name: &'t str, help: &str) -> Family<'t> {
        let help = escape_help(help);
        // Writing to a string does not fail, here and below.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        Family {
            text: &mut self.text,
            name,
        }
    }

    /// The text so far.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Adds the series with these labels.
    pub fn series(&mut self, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(self.name);
        for (index, (label, value)) in labels.iter().enumerate() {
            let separator = if index == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{separator}{label}=\"{}\"", escape(value));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }
}

/// A HELP text in the text format.
pub(super) fn escape_help(help: &str) -> String {
    help.replace('\\', r"\\").replace('\n', r"\n")
}

/// The value of a label in the text format.
pub(super) fn escape(value: &str) -> String {
    let value = value.replace('\\', r"\\").replace('"', r#"\""#);
    value.replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_help_type_and_escaped_labels() {
        let mut scrape = Exposition::default();
        let mut family = scrape.gauge("t_ratio", "share\nof \\ all");
        family.series(&[("who", "a \"b\" \\ c\nd"), ("role", "x")], 0.75);
        family.series(&[], f64::NAN);
        scrape.gauge("t_empty", "nothing");
        let expected = r#"# HELP t_ratio share\nof \\ all
# TYPE t_ratio gauge
t_ratio{who="a \"b\" \\ c\nd",role="x"} 0.75
t_ratio NaN
# HELP t_empty nothing
# TYPE t_empty gauge
"#;
        assert_eq!(scrape.into_text(), expected);
    }
}
