//! Compares the handwritten passes with autograd, in float64.

use super::super::mt19937::Mt19937;
use super::*;
use digits_checkpoint::manifest::Architecture;
use tch::Device;

const ACTIVATIONS: [Activation; 6] = [
    Activation::Relu,
    Activation::Gelu,
    Activation::ScaledTanh,
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::LeakyRelu {
        negative_slope: 0.125,
    },
];

/// A network, a batch and the options of a training.
#[derive(Clone, Debug)]
struct Case {
    inputs: usize,
    hidden: Vec<usize>,
    classes: usize,
    activation: Activation,
    images: usize,
    dropout: f64,
    label_smoothing: f64,
    seed: u64,
}

/// Inputs and results of the handwritten passes; weights before biases.
struct Passed {
    parameters: Vec<Tensor>,
    batch: Tensor,
    labels: Tensor,
    masks: Vec<Tensor>,
    loss: Tensor,
    gradient: Vec<Tensor>,
}

impl Case {
    /// A random case with 0 to 4 hidden layers; the newer activations from seed 200 on.
    fn random(seed: u64) -> Self {
        let mut generator = Mt19937::new(seed);
        let mut below = |end: u32| (generator.word() % end) as usize;
        let layers = below(5);
        Self {
            inputs: 1 + below(40),
            hidden: (0..layers).map(|_| 1 + below(35)).collect(),
            classes: 1 + below(12),
            activation: ACTIVATIONS[below(3) + if seed < 200 { 0 } else { 3 }],
            images: 1 + below(40),
            dropout: [0.0, 0.1, 0.5, 0.9][below(4)],
            label_smoothing: [0.0, 0.05, 0.3, 0.99][below(4)],
            seed,
        }
    }

    fn terms(&self) -> Regularization {
        Regularization {
            dropout: self.dropout,
            label_smoothing: self.label_smoothing,
            ..Regularization::default()
        }
    }

    /// Runs the handwritten passes over a batch in this kind of float.
    fn passed(&self, kind: Kind, precision: Precision) -> Passed {
        let options = (kind, Device::Cpu);
        let shape = Shape::of(&Architecture {
            input_size: self.inputs,
            hidden: self.hidden.clone(),
            classes: self.classes,
            activation: self.activation,
        });
        let mut generator = Mt19937::new(self.seed);
        let mut parameters = Flat::zeros(&shape, (kind, Device::Cpu)).expect("memory");
        parameters
            .load(&shape.initial(&mut generator))
            .expect("the same shape");
        let values: Vec<f32> = (0..self.images * self.inputs)
            .map(|_| generator.uniform(-2.0, 2.0))
            .collect();
        let batch = Tensor::from_slice(&values)
            .view([self.images as i64, self.inputs as i64])
            .to_kind(kind);
        let labels: Vec<i64> = (0..self.images)
            .map(|_| i64::from(generator.word() % self.classes as u32))
            .collect();
        let labels = Tensor::from_slice(&labels);

        let views = parameters.transposed().expect("views");
        let weights = Weights::new(&parameters, &views);
        let gradient = Flat::zeros(&shape, (kind, Device::Cpu)).expect("memory");
        let mut forward = Forward::new(&shape, self.activation, self.images, options)
            .and_then(|forward| forward.regularized(&self.terms()))
            .and_then(|forward| forward.multiplying(precision, &shape))
            .expect("memory");
        for mask in &mut forward.masks {
            let kept: Vec<f64> = (0..mask.numel())
                .map(|_| {
                    let stays = f64::from(generator.uniform(0.0, 1.0)) >= self.dropout;
                    f64::from(u8::from(stays)) / (1.0 - self.dropout)
                })
                .collect();
            mask.copy_(&Tensor::from_slice(&kept).view_as(mask));
        }
        let mut backward = Backward::new(&shape, self.images, options).expect("memory");
        let slot = Tensor::zeros([0_i64; 0], options);
        tch::no_grad(|| {
            forward.run(&batch, &weights).expect("forward");
            forward.mean_loss(&labels, &slot).expect("loss");
            backward
                .run(&mut forward, &batch, &labels, &weights, &gradient)
                .expect("backward");
        });
        let all = |flat: Flat| flat.weights.into_iter().chain(flat.biases).collect();
        Passed {
            parameters: all(parameters),
            batch,
            labels,
            masks: forward.masks,
            loss: slot,
            gradient: all(gradient),
        }
    }

    /// Loss and gradients of libtorch's autograd for the same inputs and masks, in float64.
    fn expected(&self, passed: &Passed) -> (Tensor, Vec<Tensor>) {
        let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
        let leaves: Vec<Tensor> = passed
            .parameters
            .iter()
            .map(|view| double(view).copy().set_requires_grad(true))
            .collect();
        let masks: Vec<Tensor> = passed.masks.iter().map(double).collect();
        let loss = self.loss(double(&passed.batch), &passed.labels, &leaves, &masks);
        loss.backward();
        (loss, leaves.iter().map(Tensor::grad).collect())
    }

    /// Largest difference of loss and gradients from autograd's, both in float64.
    fn difference(&self) -> f64 {
        let passed = self.passed(Kind::Double, Precision::Float32);
        let (loss, gradient) = self.expected(&passed);
        let mut largest = (loss - &passed.loss).abs().double_value(&[]);
        for (ours, theirs) in passed.gradient.iter().zip(&gradient) {
            let distance = (ours - theirs).abs().max().double_value(&[]);
            largest = largest.max(distance);
        }
        largest
    }

    /// Distance of the gradient with this precision of the products from autograd's in float64,
    /// relative to its norm.
    fn error(&self, precision: Precision) -> f64 {
        let passed = self.passed(Kind::Float, precision);
        let (_, gradient) = self.expected(&passed);
        let square = |tensor: Tensor| tensor.square().sum(Kind::Double).double_value(&[]);
        let both = passed.gradient.iter().zip(&gradient);
        let distance: f64 = both.map(|(ours, theirs)| square(ours - theirs)).sum();
        let norm: f64 = gradient.iter().map(|it| square(it.shallow_clone())).sum();
        (distance / norm.max(f64::MIN_POSITIVE)).sqrt()
    }

    /// The network for autograd; `leaves` are all weights, then all biases.
    fn loss(&self, batch: Tensor, labels: &Tensor, leaves: &[Tensor], masks: &[Tensor]) -> Tensor {
        let layers = leaves.len() / 2;
        let mut values = batch;
        for number in 0..layers {
            values = values.linear(&leaves[number], Some(&leaves[layers + number]));
            if number + 1 < layers {
                values = match self.activation {
                    Activation::Relu => values.relu(),
                    Activation::Gelu => values.gelu("none"),
                    Activation::ScaledTanh => (values * (2.0 / 3.0)).tanh() * 1.7159,
                    Activation::Tanh => values.tanh(),
                    Activation::Sigmoid => values.sigmoid(),
                    Activation::LeakyRelu { negative_slope } => {
                        values.maximum(&(&values * f64::from(negative_slope)))
                    }
                };
                if let Some(mask) = masks.get(number) {
                    values = values.multiply(mask);
                }
            }
        }
        values.cross_entropy_loss(
            labels,
            None::<Tensor>,
            Reduction::Mean,
            IGNORE_NOTHING,
            self.label_smoothing,
        )
    }

    fn check(&self) {
        let difference = self.difference();
        assert!(difference < 1e-12, "{self:?}: {difference:e}");
    }
}

#[test]
fn gradients_equal_those_of_autograd() {
    for hidden in [&[][..], &[1], &[10], &[17, 5], &[9, 1, 11], &[8, 7, 6, 5]] {
        for activation in ACTIVATIONS {
            for images in [1, 2, 33] {
                for (dropout, label_smoothing) in [(0.0, 0.0), (0.3, 0.1)] {
                    let case = Case {
                        inputs: 13,
                        hidden: hidden.to_vec(),
                        classes: 7,
                        activation,
                        images,
                        dropout,
                        label_smoothing,
                        seed: 5,
                    };
                    case.check();
                }
            }
        }
    }
}

#[test]
fn gradients_of_random_networks_equal_those_of_autograd() {
    (0..300).for_each(|seed| Case::random(seed).check());
}

/// Rounding to 8 significant bits changes a number by at most 0.4 %. Forward and backward through
/// five layers are ten products in sequence, whose errors partly cancel. Near 0 a ReLU can switch,
/// which matters in a network of few units.
#[test]
fn bfloat16_gradients_are_near_autograds_and_float32_ones_nearer() {
    let mut other = 0;
    for seed in 0..260 {
        let mut case = Case::random(seed);
        // With one class there is no gradient.
        case.classes = case.classes.max(2);
        let bound = match case.activation {
            Activation::Relu => 0.1,
            Activation::Gelu | Activation::ScaledTanh => 0.04,
            // With dropout 0.9 few units are left.
            _ => 0.25,
        };
        let rounded = case.error(Precision::Bfloat16);
        assert!(rounded < bound, "{case:?}: {rounded:e}");
        let whole = case.error(Precision::Float32);
        assert!(whole < 1e-5, "{case:?}: {whole:e}");
        other += usize::from(rounded > 10.0 * whole);
    }
    // Not if dropout zeroes everything.
    assert!(other > 180, "{other} of 260 are rounded");
}
