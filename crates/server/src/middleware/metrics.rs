//! Metrics of requests: count and duration by method and code.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Unit};
use tonic::Code;

/// gRPC status codes by number, as the specification writes them.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Label of every method that is not declared, so that the number of series is bounded.
const OTHER: &str = "other";

/// The metrics `<prefix>_grpc_requests_total{method,code}`,
/// `<prefix>_grpc_request_duration_seconds{method}` and `<prefix>_grpc_requests_in_flight`.
///
/// Handles are looked up once and kept, so create this after the recorder was installed
/// ([`digits_telemetry::metrics::install`]).
#[derive(Clone)]
pub struct RequestMetrics {
    table: Arc<Table>,
}

struct Table {
    prefix: &'static str,
    requests_name: String,
    /// Rows by path, such as `/digits.v1.InferenceService/Predict`.
    paths: HashMap<&'static str, Method>,
    /// Rows by method name, such as `Predict`.
    names: HashMap<&'static str, Method>,
    /// The last one is that of [`OTHER`].
    rows: Vec<Row>,
    in_flight: Gauge,
}

struct Row {
    label: &'static str,
    duration: Histogram,
    /// Filled when a code first occurs: most methods see three of them.
    codes: [OnceLock<Counter>; CODES.len()],
}

/// The row of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Method(usize);

impl RequestMetrics {
    /// Declares the metrics under `prefix`, such as `digits_trainer`.
    ///
    /// Each of `methods` is a path (`/digits.v1.InferenceService/Predict`) or a method name
    /// (`Predict`, of any service). The label is the method name either way, and `other` for
    /// methods that are not listed.
    #[must_use]
    pub fn new(prefix: &'static str, methods: &'static [&'static str]) -> Self {
        let requests_name = format!("{prefix}_grpc_requests_total");
        let duration_name = format!("{prefix}_grpc_request_duration_seconds");
        let in_flight_name = format!("{prefix}_grpc_requests_in_flight");
        describe(&requests_name, &duration_name, &in_flight_name);

        let mut table = Table {
            prefix,
            paths: HashMap::new(),
            names: HashMap::new(),
            rows: Vec::new(),
            in_flight: metrics::gauge!(in_flight_name),
            requests_name,
        };
        for method in methods.iter().copied().chain([OTHER]) {
            let label = method.rsplit('/').next().unwrap_or(method);
            let row = table.row(label, &duration_name);
            if method.starts_with('/') {
                table.paths.insert(method, row);
            } else if method != OTHER {
                table.names.insert(method, row);
            }
        }
        Self {
            table: Arc::new(table),
        }
    }

    /// The prefix of the service's metric names.
    pub(crate) fn prefix(&self) -> &'static str {
        self.table.prefix
    }

    /// The row of a path.
    pub(crate) fn method(&self, path: &str) -> Method {
        let table = &*self.table;
        if let Some(&method) = table.paths.get(path) {
            return method;
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        match table.names.get(name) {
            Some(&method) => method,
            None => Method(table.rows.len() - 1),
        }
    }

    /// Whether a method was declared: it is not [`OTHER`].
    pub(crate) fn is_declared(&self, method: Method) -> bool {
        method.0 + 1 < self.table.rows.len()
    }

    /// The label of a row.
    pub(crate) fn label(&self, method: Method) -> &'static str {
        self.table.rows[method.0].label
    }

    /// Counts a request as in flight until [`Self::end`].
    pub(crate) fn begin(&self) {
        self.table.in_flight.increment(1);
    }

    pub(crate) fn end(&self, method: Method, code: Code, elapsed: Duration) {
        let table = &*self.table;
        table.in_flight.decrement(1);
        let row = &table.rows[method.0];
        row.duration.record(elapsed);
        table.counter(row, code).increment(1);
    }
}

/// The name of a code, as the gRPC specification writes it.
pub(crate) fn code_name(code: Code) -> &'static str {
    CODES[code as usize]
}

impl Table {
    /// Methods with the same name share a row.
    fn row(&mut self, label: &'static str, duration_name: &str) -> Method {
        if let Some(index) = self.rows.iter().position(|row| row.label == label) {
            return Method(index);
        }
        let row = Row {
            label,
            duration: metrics::histogram!(duration_name.to_owned(), "method" => label),
            codes: Default::default(),
        };
        // A series that starts at 0 shows its first request as a rate.
        self.counter(&row, Code::Ok);
        self.rows.push(row);
        Method(self.rows.len() - 1)
    }

    fn counter<'r>(&self, row: &'r Row, code: Code) -> &'r Counter {
        let code = code as usize;
        row.codes[code].get_or_init(|| {
            metrics::counter!(self.requests_name.clone(), "method" => row.label, "code" => CODES[code])
        })
    }
}

fn describe(requests: &str, duration: &str, in_flight: &str) {
    metrics::describe_counter!(
        requests.to_owned(),
        Unit::Count,
        "requests that got a response"
    );
    metrics::describe_histogram!(
        duration.to_owned(),
        Unit::Seconds,
        "time from the request's headers to the end of the response"
    );
    metrics::describe_gauge!(in_flight.to_owned(), Unit::Count, "requests being answered");
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: &[&str] = &["/a.A/Get", "/b.B/Get", "/a.A/Put", "List"];

    fn labels(metrics: &RequestMetrics, path: &str) -> &'static str {
        metrics.table.rows[metrics.method(path).0].label
    }

    #[test]
    fn undeclared_methods_share_one_label() {
        let metrics = RequestMetrics::new("t", METHODS);
        for (path, label) in [
            ("/a.A/Get", "Get"),
            ("/b.B/Get", "Get"),
            ("/a.A/Put", "Put"),
            ("/b.B/Put", "other"),
            ("/any.Service/List", "List"),
            ("/a.A/Nope", "other"),
            ("/a.A/other", "other"),
            ("", "other"),
            ("/", "other"),
        ] {
            assert_eq!(labels(&metrics, path), label, "{path}");
        }
    }

    #[test]
    fn code_names_are_in_the_order_of_the_codes() {
        for (number, name) in CODES.iter().enumerate() {
            let code = Code::from_i32(i32::try_from(number).expect("small"));
            assert_eq!(code as usize, number);
            let debug = format!("{code:?}");
            assert!(
                debug.eq_ignore_ascii_case(&name.replace('_', "")),
                "{debug} is not {name}"
            );
        }
    }

    #[test]
    fn requests_are_exported_by_method_and_code() {
        let (prometheus, recorder) = digits_telemetry::metrics::build(&[]).expect("recorder");
        metrics::with_local_recorder(&prometheus, || {
            let metrics = RequestMetrics::new("t", METHODS);
            let method = metrics.method("/a.A/Get");
            metrics.begin();
            metrics.begin();
            metrics.end(method, Code::NotFound, Duration::from_millis(3));
        });
        let text = recorder.render();
        for line in [
            r#"t_grpc_requests_total{method="Get",code="NOT_FOUND"} 1"#,
            r#"t_grpc_requests_total{method="Get",code="OK"} 0"#,
            r#"t_grpc_requests_total{method="other",code="OK"} 0"#,
            r#"t_grpc_request_duration_seconds_bucket{method="Get",le="0.0025"} 0"#,
            r#"t_grpc_request_duration_seconds_bucket{method="Get",le="0.005"} 1"#,
            "t_grpc_requests_in_flight 1",
        ] {
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
    }
}
