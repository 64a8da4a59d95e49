//! The result of a request, from which the codecs encode their responses.

use super::{
    classify::{Classification, Classified},
    preprocess::{ImageContent, NormalizedImages, Place},
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
    /// Digits that were read.
    Number(NumberResult<'a>),
}

/// The digits of a picture, at least one.
#[derive(Clone, Copy)]
pub struct NumberResult<'a> {
    places: &'a [Place],
    /// Index of the first digit among the network's inputs.
    first: usize,
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
        let mut input = 0;
        let mut take = move |inputs: usize| {
            input += inputs;
            input - inputs
        };
        (0..count).map(
            move |image| match contents.map(|contents| &contents[image]) {
                None | Some(ImageContent::Digit) => self.input(take(1)),
                Some(ImageContent::Blank) => ImageResult::Blank,
                Some(ImageContent::SeveralDigits(boxes)) => ImageResult::SeveralDigits(boxes),
                // What may be digits has become a number before this.
                Some(ImageContent::Written(_)) => ImageResult::Blank,
                Some(ImageContent::Number(places)) => ImageResult::Number(NumberResult {
                    places,
                    first: take(places.len()),
                }),
            },
        )
    }

    /// The digits of a number with their places: a label or unsure each.
    pub fn digits<'a>(
        &'a self,
        number: NumberResult<'a>,
    ) -> impl ExactSizeIterator<Item = (&'a Place, ImageResult<'a>)> {
        let places = number.places.iter().enumerate();
        places.map(move |(index, place)| (place, self.input(number.first + index)))
    }

    /// Number of images and digits of numbers.
    #[must_use]
    pub fn parts(&self) -> usize {
        let digits = |content: &ImageContent| match content {
            ImageContent::Number(places) => 1 + places.len(),
            _ => 1,
        };
        let contents = self.images.contents();
        contents.map_or(self.classified.labels.len(), |contents| {
            contents.iter().map(digits).sum()
        })
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
                ImageResult::Label(_) | ImageResult::Unsure(_) => self.count_input(result),
                ImageResult::Blank => no_label.blank.increment(1),
                ImageResult::SeveralDigits(_) => no_label.several_digits.increment(1),
                ImageResult::Number(number) => {
                    let digits = self.digits(number);
                    if digits.len() > 1 {
                        no_label.several_digits.increment(1);
                    }
                    digits.for_each(|(_, digit)| self.count_input(digit));
                }
            }
        }
    }

    fn count_input(&self, result: ImageResult<'_>) {
        if let ImageResult::Label(input) = result {
            let metrics = &self.selected.route.metrics;
            metrics.predicted(input.classification.label);
        } else {
            self.selected.model.answers.unsure.increment(1);
        }
    }
}
