//! `inference.GRPCInferenceService`: the Open Inference Protocol, version 2, over the same pipeline
//! as `digits.v1`. A version is the sequence of a serving record; only the one that serves exists.
//!
//! A model has one input, `pixels`: grey values from 0 to 255 in any integer type, or from 0 to 1,
//! as torchvision's `ToTensor` gives them, in any float type. Its shape is `[n, height·width]`,
//! `[n, height, width]` or `[n, 1, height, width]`. There are four outputs: `logits` and
//! `probabilities`, FP32 `[n, classes]`, and `label` and `text`, BYTES `[n]`. `text` is what is
//! written in an image, which is the label, for each image is one digit; only requests that name it
//! get it.

mod configuration;
mod decode;
mod encode;
mod metadata;
mod outputs;
mod service;

pub use service::OpenInference;
