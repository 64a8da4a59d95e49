//! The result of a request, from which the codecs encode their responses.

use super::{
    classify::{Classification, Classified},
    preprocess::{ImageContent, NormalizedImages},
    route::SelectedRoute,
};
use digits_picture::components::BoundingBox;

/// The result of a request.
pub struct Prediction<'a> {
    /// The route that computed it.
    pub selected: SelectedRoute<'a>,
    /// The images, as the network saw them.
    pub images: NormalizedImages,
    /// Logits of the network's inputs, [m, classes].
    pub logits: Vec<f32>,
    /// Labels and probabilities of the network's inputs.
    pub classified: Classified,
    pub(super) min_probability: f32,
}

/// The result of one image.
#[derive(Clone, Copy)]
pub enum ImageResult<'a> {
    /// A label.
    Label(InputResult<'a>),
    /// The most probable label is less probable than the request demands.
    Unsure(InputResult<'a>),
    /// No ink.
    Blank,
    /// Several digits, where they are.
    SeveralDigits(&'a [BoundingBox]),
}

/// Output of the network for one input.
#[derive(Clone, Copy)]
pub struct InputResult<'a> {
    /// Index among the network's inputs.
    pub index: usize,
    /// The most probable label.
    pub classification: Classification,
    /// One for each class.
    pub logits: &'a [f32],
    /// One for each class.
    pub probabilities: &'a [f32],
}

impl Prediction<'_> {
    /// One result for each image of the request, in its order.
    pub fn results(&self) -> impl Iterator<Item = ImageResult<'_>> {
        let contents = self.images.contents();
        let count = contents.map_or(self.classified.labels.len(), <[_]>::len);
        let mut inputs = (0..self.classified.labels.len()).map(|index| self.input(index));
        (0..count).filter_map(
            move |image| match contents.map(|contents| &contents[image]) {
                None | Some(ImageContent::Digit) => inputs.next(),
                Some(ImageContent::Blank) => Some(ImageResult::Blank),
                Some(ImageContent::SeveralDigits(boxes)) => Some(ImageResult::SeveralDigits(boxes)),
            },
        )
    }

    fn input(&self, index: usize) -> ImageResult<'_> {
        let classes = self.selected.route.checkpoint.network.classes();
        let columns = index * classes..(index + 1) * classes;
        let classification = self.classified.labels[index];
        let result = InputResult {
            index,
            classification,
            logits: &self.logits[columns.clone()],
            probabilities: &self.classified.probabilities[columns],
        };
        if classification.confidence >= self.min_probability {
            ImageResult::Label(result)
        } else {
            ImageResult::Unsure(result)
        }
    }

    /// Counts the results: labels by route, images without a label by model.
    pub(super) fn count(&self) {
        let no_label = &self.selected.model.answers;
        for result in self.results() {
            match result {
                ImageResult::Label(input) => {
                    let metrics = &self.selected.route.metrics;
                    metrics.predicted(input.classification.label);
                }
                ImageResult::Unsure(_) => no_label.unsure.increment(1),
                ImageResult::Blank => no_label.blank.increment(1),
                ImageResult::SeveralDigits(_) => no_label.several_digits.increment(1),
            }
        }
    }
}
