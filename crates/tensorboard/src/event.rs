//! Events of an event file: its version, scalars, pictures and histograms.

use crate::{
    histogram::summarize,
    messages::{
        Content, Event, HParamsPluginData, Image, PluginData, Session, Summary, SummaryMetadata,
        Value, What,
    },
};
use prost::Message as _;

/// The place of an event on both axes of a chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Training steps completed over all epochs.
    pub step: u64,
    /// Seconds since 1970.
    pub seconds: f64,
}

/// The first event of a file.
#[must_use]
pub fn version(seconds: f64) -> Event {
    Event {
        wall_time: seconds,
        step: 0,
        what: Some(What::FileVersion("brain.Event:2".to_owned())),
    }
}

/// Scalars by tag; TensorBoard puts tags with the same part before the `/` side by side.
#[must_use]
pub fn scalars(at: Moment, values: &[(&str, f64)]) -> Event {
    let scalar = |&(tag, value): &(&str, f64)| Value {
        tag: tag.to_owned(),
        metadata: None,
        // The form's precision.
        value: Some(Content::SimpleValue(value as f32)),
    };
    summary(at, values.iter().map(scalar).collect())
}

/// A picture: a PNG file and its height and width.
#[must_use]
pub fn image(at: Moment, tag: &str, png: Vec<u8>, [height, width]: [u32; 2]) -> Event {
    let image = Image {
        height: i32::try_from(height).unwrap_or(i32::MAX),
        width: i32::try_from(width).unwrap_or(i32::MAX),
        colorspace: 3,
        encoded_image_string: png,
    };
    one(at, tag, Content::Image(image))
}

/// A histogram of numbers; those that are not finite are left out.
#[must_use]
pub fn histogram(at: Moment, tag: &str, numbers: &[f32]) -> Event {
    one(at, tag, Content::Histo(summarize(numbers)))
}

/// A message of the hparams plugin, which reads the metadata of a tag alone.
pub(crate) fn session(at: Moment, tag: &str, session: Session) -> Event {
    let content = HParamsPluginData {
        data: Some(session),
    };
    let value = Value {
        tag: tag.to_owned(),
        metadata: Some(SummaryMetadata {
            plugin_data: Some(PluginData {
                plugin_name: "hparams".to_owned(),
                content: content.encode_to_vec(),
            }),
        }),
        value: None,
    };
    summary(at, vec![value])
}

fn one(at: Moment, tag: &str, content: Content) -> Event {
    let value = Value {
        tag: tag.to_owned(),
        metadata: None,
        value: Some(content),
    };
    summary(at, vec![value])
}

fn summary(at: Moment, value: Vec<Value>) -> Event {
    Event {
        wall_time: at.seconds,
        step: i64::try_from(at.step).unwrap_or(i64::MAX),
        what: Some(What::Summary(Summary { value })),
    }
}
