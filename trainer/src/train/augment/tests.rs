use super::super::Regularization;
use super::super::mt19937::Mt19937;
use super::super::network::{Backward, Forward, Weights};
use super::super::parameters::{Flat, Shape, host};
use super::super::philox::{Philox, Purpose, StepPosition};
use super::*;
use digits_checkpoint::manifest::{Activation, Architecture};
use digits_dataset::{Images, LabelledImages};
use tch::{Device, Kind, Tensor};

pub(super) const NOTHING: Augmentation = Augmentation {
    rotation_degrees: 0.0,
    shear_degrees: 0.0,
    scale_min: 1.0,
    scale_max: 1.0,
    shift_pixels: 0.0,
    elastic_alpha: 0.0,
    elastic_sigma: 5.0,
    noise: 0.0,
    pen: false,
    outlier_share: 0.0,
    styles: 0.0,
    letters: 0.0,
    digits: Vec::new(),
    half_angles: Vec::new(),
};

const AT: StepPosition = StepPosition {
    seed: 17,
    epoch: 2,
    step: 9,
};

const SIZES: [(usize, usize); 5] = [(28, 28), (40, 64), (5, 9), (1, 3), (1, 1)];

fn everything() -> Augmentation {
    Augmentation {
        rotation_degrees: 15.0,
        shear_degrees: 15.0,
        scale_min: 0.85,
        scale_max: 1.15,
        shift_pixels: 2.0,
        elastic_alpha: 36.0,
        noise: 0.2,
        pen: true,
        ..NOTHING
    }
}

/// `images` images of random grey, as raw pixels.
fn grey(images: usize, (height, width): (usize, usize)) -> Tensor {
    let mut words = vec![0; images * height * width];
    Philox::new(AT, Purpose::Dropout(0)).words(&mut words);
    let bytes: Vec<u8> = words.into_iter().map(|word| (word >> 24) as u8).collect();
    Tensor::from_slice(&bytes).view([images as i64, (height * width) as i64])
}

fn augmented(
    settings: &Augmentation,
    raw: &Tensor,
    (height, width): (usize, usize),
    at: StepPosition,
) -> Vec<f32> {
    let images = raw.size()[0] as usize;
    let size = Size { height, width };
    let mut augmenter = Augmenter::new(settings, size, images, Device::Cpu).expect("memory");
    let mut out = raw.to_kind(Kind::Float);
    augmenter
        .run(raw, &vec![0; images], &mut out, at)
        .expect("libtorch");
    host(&out).expect("main memory")
}

#[test]
fn a_minimal_augmentation_leaves_images_unchanged() {
    for size in SIZES {
        let raw = grey(3, size);
        let before = host(&raw).expect("main memory");
        assert_eq!(augmented(&NOTHING, &raw, size, AT), before, "{size:?}");
        let hardly = Augmentation {
            rotation_degrees: 1e-6,
            elastic_alpha: 1e-6,
            ..NOTHING
        };
        for (after, before) in augmented(&hardly, &raw, size, AT).iter().zip(&before) {
            assert!((after - before).abs() < 0.1, "{size:?}: {before} {after}");
        }
    }
}

#[test]
fn every_step_has_its_own_augmented_images() {
    for size in SIZES {
        let raw = grey(4, size);
        let all = everything();
        let here = augmented(&all, &raw, size, AT);
        assert_eq!(here, augmented(&all, &raw, size, AT), "{size:?}");
        assert!(here.iter().all(|it| (0.0..=255.0).contains(it)), "{size:?}");
        for other in [
            StepPosition { seed: 18, ..AT },
            StepPosition { epoch: 3, ..AT },
            StepPosition { step: 10, ..AT },
        ] {
            assert_ne!(
                here,
                augmented(&all, &raw, size, other),
                "{size:?} {other:?}"
            );
        }
    }
}

/// Where the ink of each image is in the middle, across and down.
fn centres(values: &[f32], (height, width): (usize, usize)) -> Vec<(f32, f32)> {
    let centre = |image: &[f32]| {
        let (mut ink, mut across, mut down) = (0.0, 0.0, 0.0);
        for (at, &value) in image.iter().enumerate() {
            ink += value;
            across += value * (at % width) as f32;
            down += value * (at / width) as f32;
        }
        (across / ink, down / ink)
    };
    values.chunks_exact(height * width).map(centre).collect()
}

#[test]
fn shifts_cover_their_whole_range_and_stay_within_it() {
    let size = (28, 56);
    let mut pixels = vec![0_u8; 28 * 56];
    pixels[14 * 56 + 28] = 255;
    let raw = Tensor::from_slice(&pixels.repeat(200)).view([200, 28 * 56]);
    let shifted = Augmentation {
        shift_pixels: 2.0,
        ..NOTHING
    };
    let centres = centres(&augmented(&shifted, &raw, size, AT), size);
    // Twice as wide, so twice as far.
    let across: Vec<f32> = centres.iter().map(|it| it.0 - 28.0).collect();
    let down: Vec<f32> = centres.iter().map(|it| it.1 - 14.0).collect();
    for (moved, reach) in [(across, 4.0), (down, 2.0)] {
        let least = moved.iter().copied().fold(f32::MAX, f32::min);
        let most = moved.iter().copied().fold(f32::MIN, f32::max);
        assert!(least >= -reach - 0.01 && least < -0.9 * reach, "{least}");
        assert!(most <= reach + 0.01 && most > 0.9 * reach, "{most}");
    }
}

#[test]
fn the_pen_leaves_half_of_the_images_without_noise() {
    let raw = Tensor::zeros([400, 784], (Kind::Uint8, Device::Cpu));
    let noisy = Augmentation {
        noise: 0.3,
        ..NOTHING
    };
    let values = augmented(&noisy, &raw, (28, 28), AT);
    let clean = values
        .chunks_exact(784)
        .filter(|image| image.iter().all(|&value| value == 0.0))
        .count();
    assert!((150..250).contains(&clean), "{clean}");
}

#[test]
fn the_pen_makes_strokes_thicker_and_thinner() {
    let mut stroke = vec![0_u8; 784];
    for row in 4..24 {
        stroke[row * 28 + 13..row * 28 + 16].fill(255);
    }
    let raw = Tensor::from_slice(&stroke.repeat(300)).view([300, 784]);
    let pen = Augmentation {
        pen: true,
        ..NOTHING
    };
    let values = augmented(&pen, &raw, (28, 28), AT);
    // Ink above the background in the middle row, in strokes of full ink.
    let width = |image: &[f32]| {
        let row = &image[14 * 28..15 * 28];
        row.iter().map(|value| value - row[0]).sum::<f32>() / (row[14] - row[0])
    };
    let widths: Vec<f32> = values.chunks_exact(784).map(width).collect();
    let count = |of: &dyn Fn(f32) -> bool| widths.iter().filter(|&&it| of(it)).count();
    assert!(count(&|it| it > 3.5) > 60, "thicker");
    assert!(count(&|it| it < 2.5) > 60, "thinner");
    assert!(count(&|it| !(1.7..5.0).contains(&it)) == 0, "neither");
}

#[test]
fn a_preview_shows_the_images_of_the_first_step() {
    let raw = grey(2, (28, 28));
    let mut pixels = vec![0; 2 * 784];
    raw.copy_data_u8(&mut pixels, 2 * 784);
    let set = LabelledImages {
        images: Images {
            count: 2,
            height: 28,
            width: 28,
            pixels: pixels.into(),
        },
        labels: vec![0; 2],
    };
    let at = StepPosition {
        seed: 5,
        epoch: 0,
        step: 0,
    };
    let seen = augmented(&everything(), &raw, (28, 28), at);
    let preview = preview(&everything(), &set, 5).expect("libtorch");
    for (seen, preview) in seen.iter().zip(preview) {
        assert!((seen - f32::from(preview)).abs() <= 0.5);
    }
}

#[test]
fn outliers_have_the_gradient_of_a_uniform_target() {
    for label_smoothing in [0.0, 0.1, 0.7] {
        check_outliers(label_smoothing);
    }
}

/// Gradients of a batch whose last images are outliers against those of libtorch's autograd for
/// one-hot targets, smoothed or not, and targets that are the same for every class, in float64.
fn check_outliers(label_smoothing: f64) {
    const IMAGES: usize = 7;
    const OUTLIERS: usize = 3;
    const CLASSES: usize = 4;
    let options = (Kind::Double, Device::Cpu);
    let shape = Shape::of(&Architecture {
        input_size: 6,
        hidden: vec![5],
        classes: CLASSES,
        activation: Activation::Gelu,
    });
    let mut generator = Mt19937::new(1);
    let mut parameters = Flat::zeros(&shape, options).expect("memory");
    parameters
        .load(&shape.initial(&mut generator))
        .expect("the same shape");
    let values: Vec<f64> = (0..IMAGES * 6)
        .map(|_| f64::from(generator.uniform(-2.0, 2.0)))
        .collect();
    let batch = Tensor::from_slice(&values).view([IMAGES as i64, 6]);
    let labels: Vec<i64> = (0..IMAGES)
        .map(|number| (number % CLASSES) as i64)
        .collect();
    let alike = 1.0 / CLASSES as f64;
    let targets: Vec<f64> = (0..IMAGES * CLASSES)
        .map(|at| match at / CLASSES < IMAGES - OUTLIERS {
            true => {
                let right = f64::from(u8::from(at % CLASSES == at / CLASSES % CLASSES));
                (1.0 - label_smoothing) * right + label_smoothing * alike
            }
            false => alike,
        })
        .collect();
    let targets = Tensor::from_slice(&targets).view([IMAGES as i64, CLASSES as i64]);
    let labels = Tensor::from_slice(&labels);

    let views = parameters.transposed().expect("views");
    let weights = Weights::new(&parameters, &views);
    let gradient = Flat::zeros(&shape, options).expect("memory");
    let mut forward = Forward::new(&shape, Activation::Gelu, IMAGES, options)
        .and_then(|forward| forward.with_outliers(OUTLIERS))
        .and_then(|forward| {
            forward.regularized(&Regularization {
                label_smoothing,
                ..Regularization::default()
            })
        })
        .expect("memory");
    let mut backward = Backward::new(&shape, IMAGES, options)
        .and_then(|backward| backward.with_outliers(OUTLIERS))
        .expect("memory");
    let slot = Tensor::zeros([0_i64; 0], options);
    tch::no_grad(|| {
        forward.run(&batch, &weights).expect("forward");
        forward.mean_loss(&labels, &slot).expect("loss");
        backward
            .run(&mut forward, &batch, &labels, &weights, &gradient)
            .expect("backward");
    });

    let leaf = |view: &Tensor| view.copy().set_requires_grad(true);
    let leaves: Vec<Tensor> = parameters
        .weights
        .iter()
        .chain(&parameters.biases)
        .map(leaf)
        .collect();
    let hidden = batch.linear(&leaves[0], Some(&leaves[2])).gelu("none");
    let logits = hidden.linear(&leaves[1], Some(&leaves[3]));
    let losses = -(logits.log_softmax(-1, Kind::Double) * targets).sum_dim_intlist(1, false, None);
    losses.mean(None).backward();
    let labelled = losses.narrow(0, 0, (IMAGES - OUTLIERS) as i64).mean(None);
    assert!((labelled - slot).abs().double_value(&[]) < 1e-12);
    for (ours, leaf) in gradient.weights.iter().chain(&gradient.biases).zip(&leaves) {
        let distance = (ours - leaf.grad()).abs().max().double_value(&[]);
        assert!(distance < 1e-12, "{distance:e}");
    }
}
