//! The presets of this version, as JSON files of `digits.v1.Preset` in `trainer/presets`.
//!
//! Where their values come from:
//!
//! * `notebook`: the teaching notebook as it was run. Its kernel had drawn 15,962 words of the
//!   generator between split and initial weights.
//! * `fast`: chosen on validation, over three seeds, for its error within ten seconds on two cores.
//!   Milder changes than `accurate`'s and no elastic ones are what so small a network can learn in
//!   so few epochs. Mean and standard deviation are those of MNIST's training images. The curves
//!   have a row after the first step, in the middle and at the end of an epoch of 54,000 images.
//! * `accurate`: the smallest network of Cireşan et al. 2010 with their augmentation. Momentum and
//!   a cosine schedule reach in tens of epochs what constant steps take hundreds for. A tenth of
//!   drawn digits is for hands that MNIST lacks, ten more epochs make up for the images that they
//!   replace. One row of the curves an epoch.
//! * `robust`: chosen on held-out training images under MNIST-C's corruptions, and on drawn digits.
//!   Strong noise does most against corruptions, a wider first layer takes it in, and the geometry
//!   of `accurate` keeps clean digits right. Shares of drawn digits and letters are for hands and
//!   signs that MNIST lacks.
//! * `record`: the largest network of Cireşan et al. 2010.

use super::{JobRequest, violation::Violations};
use crate::{similar::similar, wire::SpecMessage};
use std::sync::LazyLock;

/// A preset.
#[derive(Clone, Debug)]
pub struct Preset {
    /// Name of the preset in a spec.
    pub name: String,
    /// A sentence about it.
    pub description: String,
    /// A request with every field set.
    pub spec: JobRequest,
}

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    [
        include_str!("../../presets/notebook.json"),
        include_str!("../../presets/fast.json"),
        include_str!("../../presets/accurate.json"),
        include_str!("../../presets/robust.json"),
        include_str!("../../presets/record.json"),
    ]
    .map(|json| {
        let (name, description, spec) =
            SpecMessage::preset_from_json(json).expect("a test reads every preset");
        Preset {
            name,
            description,
            spec: spec.request(),
        }
    })
    .into()
});

/// All presets of this version; the first one is what an empty name means.
#[must_use]
pub fn presets() -> &'static [Preset] {
    &PRESETS
}

/// The preset of that name. An unknown one is a violation, and the default preset is used, so
/// that the other fields are checked too.
pub(super) fn find(name: &str, found: &mut Violations) -> &'static JobRequest {
    let default = &PRESETS[0].spec;
    if name.is_empty() {
        return default;
    }
    if let Some(preset) = PRESETS.iter().find(|preset| preset.name == name) {
        return &preset.spec;
    }
    let names = || PRESETS.iter().map(|preset| preset.name.as_str());
    let hint = match similar(name, names()) {
        Some(known) => format!("; did you mean {known:?}?"),
        None => format!(": use {}", names().collect::<Vec<_>>().join(", ")),
    };
    found.push("preset", format!("unknown preset {name:?}{hint}"));
    default
}
