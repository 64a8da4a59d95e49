//! Names, types and shapes of the tensors.

/// The one input.
pub(super) const INPUT: &str = "pixels";

/// An output tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Logits,
    Probabilities,
    Label,
    Text,
}

impl Output {
    pub(super) const ALL: [Self; 4] = [Self::Logits, Self::Probabilities, Self::Label, Self::Text];
    /// Those of a request that names none: the ones that there were before `text`.
    pub(super) const DEFAULT: [Self; 3] = [Self::Logits, Self::Probabilities, Self::Label];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Label => "label",
            Self::Text => "text",
        }
    }

    pub(super) fn datatype(self) -> &'static str {
        match self {
            Self::Logits | Self::Probabilities => "FP32",
            Self::Label | Self::Text => "BYTES",
        }
    }

    pub(super) fn shape(self, images: i64, classes: i64) -> Vec<i64> {
        match self {
            Self::Logits | Self::Probabilities => vec![images, classes],
            Self::Label | Self::Text => vec![images],
        }
    }
}

/// The outputs of a response, and their form.
pub(super) struct ResponseOptions {
    /// The requested outputs, in their order.
    pub(super) outputs: Vec<Output>,
    /// Whether values are raw bytes, as they were in the request.
    pub(super) raw: bool,
}
