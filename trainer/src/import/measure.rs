//! Measures a network on labelled images, under the given scaling and activation and under the
//! usual other ones: a state dict does not hold them, and a wrong one costs accuracy silently.

use super::{batch_norm::Side, error::ImportError, state_dict::StateDict};
use crate::train::{
    PIXEL_SCALE,
    report::{Subject, evaluate},
};
use digits_checkpoint::{
    Layer, Loaded,
    id::CheckpointId,
    manifest::{Activation, Architecture, Evaluation, InputSpec},
};
use digits_dataset::{Dataset, Images, LabelledImages};
use std::{iter, sync::Arc};

/// (divisor, mean, standard deviation) of pixels: `ToTensor`, that and `Normalize(0.5, 0.5)`, that
/// and MNIST's own `Normalize`, and raw pixels.
const SCALINGS: [(f32, f32, f32); 4] = [
    (PIXEL_SCALE, 0.0, 1.0),
    (PIXEL_SCALE, 0.5, 0.5),
    (PIXEL_SCALE, 0.1307, 0.3081),
    (1.0, 0.0, 1.0),
];
const ACTIVATIONS: [Activation; 6] = [
    Activation::Relu,
    Activation::LeakyRelu {
        negative_slope: Activation::NEGATIVE_SLOPE,
    },
    Activation::Gelu,
    Activation::Tanh,
    Activation::ScaledTanh,
    Activation::Sigmoid,
];
/// Multiply-adds of the comparison of all settings on all data sets, and of the figures that are
/// reported: seconds.
const SEARCH_WORK: usize = 20_000_000_000;
const FINAL_WORK: usize = 20_000_000_000;
/// With fewer images the settings of a huge network are not compared.
const MIN_IMAGES: usize = 250;
/// Settings that are measured on all images.
const FINALISTS: usize = 4;
/// Accuracies that are this close are compared by their losses instead.
const CLOSE: f64 = 0.003;
/// Smallest gain of accuracy that calls for other settings.
const CLEAR: f64 = 0.005;

/// What a state dict does not say about its network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Scaling of raw pixels.
    pub input: InputSpec,
    /// Activation between the layers.
    pub activation: Activation,
    /// Side of the activation on which batch normalizations stand, if that is not the side taken.
    pub batch_norm: Option<Side>,
}

/// How good a network is on the test images of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Name of the data set.
    pub dataset: String,
    /// Its digest.
    pub digest: String,
    /// Under the given settings.
    pub given: Evaluation,
    /// The usual settings, or the given ones, under which it does best, and how well.
    pub best: (Setting, Evaluation),
    /// Whether `best` is better by more than chance explains.
    pub clearly_better: bool,
    /// What is served, on the same images.
    pub served: Option<(CheckpointId, Evaluation)>,
}

/// Measures the network of a file on that one of the data sets on which it does best; `None` where
/// there is none, or where its logits are not finite under any setting.
pub(super) fn measure(
    file: &StateDict,
    given: Setting,
    sets: &[Arc<Dataset>],
    served: Option<&Loaded>,
) -> Result<Option<Measurement>, ImportError> {
    let Some((data, finalists)) = choose(file, given, sets)? else {
        return Ok(None);
    };
    let parameters = file.parameters();
    let served = served.filter(|it| fits(it, data));
    let of_served: usize = served
        .iter()
        .flat_map(|it| &it.layers)
        .map(|it| it.weight.len())
        .sum();
    let images = FINAL_WORK / (finalists.len() * parameters + of_served);
    let some = some(&data.test, images.max(MIN_IMAGES));
    let mut ranked = evaluate_all(file, &finalists, &some)?;
    let Some(under_given) = ranked.iter().find(|(setting, _)| *setting == given) else {
        return Ok(None);
    };
    let under_given = under_given.1;
    sort(&mut ranked);
    let top = ranked[0].1.accuracy();
    let close = ranked.iter().filter(|(_, it)| it.accuracy() >= top - CLOSE);
    let best = *close
        .min_by(|(_, one), (_, other)| one.loss.total_cmp(&other.loss))
        .expect("the first one");
    let served = match served {
        Some(served) => {
            let manifest = &served.manifest;
            let subject = subject(&served.layers, &manifest.architecture, &manifest.input);
            evaluate(&subject, &some)?.map(|it| (manifest.id, it))
        }
        None => None,
    };
    Ok(Some(Measurement {
        dataset: data.name.clone(),
        digest: data.digest.clone(),
        given: under_given,
        best,
        clearly_better: is_clearly_better(&best.1, &under_given),
        served,
    }))
}

/// The data set on which the network does best under any setting, and the settings to measure there:
/// the given one, and those that do best.
fn choose<'a>(
    file: &StateDict,
    given: Setting,
    sets: &'a [Arc<Dataset>],
) -> Result<Option<(&'a Dataset, Vec<Setting>)>, ImportError> {
    let mut best: Option<(f64, &Dataset, Vec<Setting>)> = None;
    for data in sets {
        let mut candidates = candidates(file, given, data);
        let images = match search_images(sets.len(), candidates.len(), file.parameters()) {
            images @ MIN_IMAGES.. => images,
            // Only the data sets of a huge network are compared.
            _ => {
                candidates = vec![given];
                search_images(sets.len(), 1, file.parameters()).clamp(1, MIN_IMAGES)
            }
        };
        let mut ranked = evaluate_all(file, &candidates, &some(&data.test, images))?;
        sort(&mut ranked);
        let accuracy = ranked.first().map_or(-1.0, |(_, it)| it.accuracy());
        if best.as_ref().is_none_or(|(top, ..)| *top < accuracy) {
            let others = ranked.into_iter().map(|(setting, _)| setting);
            let others = others.filter(|it| *it != given).take(FINALISTS);
            best = Some((accuracy, data, iter::once(given).chain(others).collect()));
        }
    }
    Ok(best.map(|(_, data, finalists)| (data, finalists)))
}

/// Images of each data set in the search, so that all of it takes at most [`SEARCH_WORK`].
fn search_images(sets: usize, candidates: usize, parameters: usize) -> usize {
    SEARCH_WORK / (sets * candidates * parameters)
}

/// Whether a network takes the images and has the labels of a data set.
pub(super) fn fits(loaded: &Loaded, data: &Dataset) -> bool {
    let manifest = &loaded.manifest;
    (manifest.input.height, manifest.input.width) == (data.height(), data.width())
        && manifest.architecture.classes == data.classes()
}

/// By more than [`CLEAR`], and by more than two standard errors of the difference.
fn is_clearly_better(best: &Evaluation, given: &Evaluation) -> bool {
    let variance = |of: &Evaluation| of.accuracy() * (1.0 - of.accuracy()) / of.images as f64;
    let gain = best.accuracy() - given.accuracy();
    gain > CLEAR && gain > 2.0 * (variance(best) + variance(given)).sqrt()
}

/// The given settings, and all combinations of the usual ones.
fn candidates(file: &StateDict, given: Setting, data: &Dataset) -> Vec<Setting> {
    let mut activations = vec![given.activation];
    if file.layers.len() > 1 {
        activations.extend(ACTIVATIONS.iter().filter(|it| **it != given.activation));
    }
    let mut inputs = vec![given.input];
    for (scale, mean, std) in SCALINGS.into_iter().chain([own_scaling(&data.train)]) {
        let input = InputSpec {
            scale,
            mean,
            std,
            ..given.input
        };
        if std > 0.0 && !inputs.contains(&input) {
            inputs.push(input);
        }
    }
    let sides = [None, file.other_side.as_ref().map(|(side, _)| *side)];
    let sides = &sides[..1 + usize::from(sides[1].is_some())];
    let mut all = Vec::new();
    for &batch_norm in sides {
        for &input in &inputs {
            all.extend(activations.iter().map(|&activation| Setting {
                input,
                activation,
                batch_norm,
            }));
        }
    }
    all
}

/// The `Normalize` that a script would take from the data: mean and standard deviation of all
/// pixels, to four digits.
fn own_scaling(train: &LabelledImages) -> (f32, f32, f32) {
    let mut counts = [0_u64; 256];
    for &pixel in &train.images.pixels {
        counts[usize::from(pixel)] += 1;
    }
    let total = train.images.pixels.len() as f64;
    let mean_of = |value: &dyn Fn(f64) -> f64| {
        let weighted = counts.iter().enumerate();
        weighted
            .map(|(pixel, count)| value(pixel as f64 / 255.0) * *count as f64)
            .sum::<f64>()
            / total
    };
    let mean = mean_of(&|pixel| pixel);
    let std = mean_of(&|pixel| (pixel - mean).powi(2)).sqrt();
    let rounded = |number: f64| ((number * 1e4).round() / 1e4) as f32;
    (PIXEL_SCALE, rounded(mean), rounded(std))
}

/// The evaluations whose logits are finite.
fn evaluate_all(
    file: &StateDict,
    settings: &[Setting],
    images: &LabelledImages,
) -> Result<Vec<(Setting, Evaluation)>, ImportError> {
    let mut evaluations = Vec::with_capacity(settings.len());
    for setting in settings {
        let layers = match (&file.other_side, setting.batch_norm) {
            (Some((_, layers)), Some(_)) => layers,
            _ => &file.layers,
        };
        let architecture = architecture(layers, setting.activation);
        let subject = subject(layers, &architecture, &setting.input);
        evaluations.extend(evaluate(&subject, images)?.map(|it| (*setting, it)));
    }
    Ok(evaluations)
}

fn subject<'a>(
    layers: &'a [Layer],
    architecture: &'a Architecture,
    input: &'a InputSpec,
) -> Subject<'a> {
    Subject {
        layers,
        architecture,
        input,
        temperature: 1.0,
        labels: &[],
    }
}

/// The network of some layers, at least one.
pub(super) fn architecture(layers: &[Layer], activation: Activation) -> Architecture {
    let outputs: Vec<usize> = layers.iter().map(|layer| layer.outputs).collect();
    let (&classes, hidden) = outputs.split_last().expect("a file has at least one layer");
    Architecture {
        input_size: layers[0].inputs,
        hidden: hidden.to_vec(),
        classes,
        activation,
    }
}

/// Highest accuracy first, then lowest loss.
fn sort(ranked: &mut [(Setting, Evaluation)]) {
    ranked.sort_by(|(_, one), (_, other)| {
        let accuracy = other.accuracy().total_cmp(&one.accuracy());
        accuracy.then(one.loss.total_cmp(&other.loss))
    });
}

/// At most `count` images, spread over the set, which may be sorted by label.
fn some(all: &LabelledImages, count: usize) -> LabelledImages {
    let images = &all.images;
    if count >= images.count {
        return all.clone();
    }
    let size = images.image_size();
    let mut pixels = Vec::with_capacity(count * size);
    let mut labels = Vec::with_capacity(count);
    for index in 0..count {
        let at = index * images.count / count;
        pixels.extend_from_slice(&images.pixels[at * size..(at + 1) * size]);
        labels.push(all.labels[at]);
    }
    LabelledImages {
        images: Images {
            count,
            pixels: pixels.into(),
            ..*images
        },
        labels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_is_bounded_over_all_data_sets_together() {
        for parameters in [7_850, 101_770, 12_000_000, 134_000_000] {
            for (sets, candidates) in [(1, 1), (1, 60), (6, 30), (6, 60)] {
                let images = search_images(sets, candidates, parameters);
                let work = sets * candidates * parameters * images;
                assert!(work <= SEARCH_WORK, "{sets} {candidates} {parameters}");
            }
            // The least that tells data sets apart.
            assert!(search_images(6, 1, parameters) >= 20);
        }
    }
}
