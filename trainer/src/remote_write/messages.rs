//! Messages of Prometheus remote write 1.0 (`prompb/remote.proto` and `prompb/types.proto`), with
//! only the fields that are needed, and their encoding: protobuf, compressed in snappy's block
//! format.

use prost::Message;

/// Body of a push.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) timeseries: Vec<TimeSeries>,
}

/// Samples of one series.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TimeSeries {
    /// Sorted by name: to a receiver, another order is another series.
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<Label>,
    /// By time, ascending.
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<Sample>,
}

/// A label.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Label {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// A value at a time.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Sample {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub(super) timestamp: i64,
}

impl Label {
    pub(super) fn new(name: &str, value: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: value.into(),
        }
    }
}

impl WriteRequest {
    /// The body of a push.
    ///
    /// # Errors
    /// Only for requests of 4 GiB or more, snappy's limit.
    pub(super) fn body(&self) -> Result<Vec<u8>, snap::Error> {
        snap::raw::Encoder::new().compress_vec(&self.encode_to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_specification() {
        let request = WriteRequest {
            timeseries: vec![TimeSeries {
                labels: vec![Label::new("__name__", "up")],
                samples: vec![Sample {
                    value: 1.0,
                    timestamp: 300,
                }],
            }],
        };
        // Written down by hand from the field numbers and types of prompb.
        let label = [&[0x0a, 8][..], b"__name__", &[0x12, 2], b"up"].concat();
        let sample = [&[0x09][..], &1_f64.to_le_bytes(), &[0x10, 0xac, 0x02]].concat();
        let series = [
            &[0x0a, label.len() as u8][..],
            &label,
            &[0x12, sample.len() as u8],
            &sample,
        ]
        .concat();
        let expected = [&[0x0a, series.len() as u8][..], &series].concat();
        assert_eq!(request.encode_to_vec(), expected);
        let body = request.body().expect("a small request");
        let plain = snap::raw::Decoder::new()
            .decompress_vec(&body)
            .expect("snappy");
        assert_eq!(plain, expected);
        assert_eq!(
            WriteRequest::decode(plain.as_slice()).expect("protobuf"),
            request
        );
    }
}
