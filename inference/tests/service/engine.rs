//! The engine against a naive network in float64, for random networks and images, on every
//! execution path.

use digits_inference::engine::{
    Activation, ExecutionPath, InputScale, Linear, Network, NetworkError,
};
use proptest::prelude::*;

/// A layer that owns its numbers.
#[derive(Clone, Debug)]
struct Owned {
    inputs: usize,
    outputs: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Small deterministic generator: the cases are drawn by proptest, their many numbers from here.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1 << 24) as f32) * 2.0 - 1.0
    }

    fn layer(&mut self, inputs: usize, outputs: usize) -> Owned {
        let bound = 1.0 / (inputs as f32).sqrt();
        Owned {
            inputs,
            outputs,
            weight: (0..inputs * outputs).map(|_| self.next() * bound).collect(),
            bias: (0..outputs).map(|_| self.next() * bound).collect(),
        }
    }
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::ScaledTanh => 1.7159 * (x * 2.0 / 3.0).tanh(),
        Activation::Gelu => x * 0.5 * (1.0 + libm::erf(x / std::f64::consts::SQRT_2)),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::LeakyRelu { negative_slope } => x.max(x * f64::from(negative_slope)),
    }
}

fn naive(layers: &[Owned], activation: Activation, scale: InputScale, image: &[u8]) -> Vec<f64> {
    let transform =
        |pixel: &u8| f64::from((f32::from(*pixel) / scale.scale - scale.mean) / scale.std);
    let mut values: Vec<f64> = image.iter().map(transform).collect();
    for (index, layer) in layers.iter().enumerate() {
        values = (0..layer.outputs)
            .map(|output| {
                let row = &layer.weight[output * layer.inputs..(output + 1) * layer.inputs];
                let sum: f64 = row
                    .iter()
                    .zip(&values)
                    .map(|(&w, &x)| f64::from(w) * x)
                    .sum();
                let sum = sum + f64::from(layer.bias[output]);
                if index + 1 < layers.len() {
                    activate(activation, sum)
                } else {
                    sum
                }
            })
            .collect();
    }
    values
}

fn network(layers: &[Owned], activation: Activation, scale: InputScale) -> Network {
    let linears: Vec<Linear<'_>> = layers
        .iter()
        .map(|layer| Linear {
            inputs: layer.inputs,
            outputs: layer.outputs,
            weight: &layer.weight,
            bias: &layer.bias,
        })
        .collect();
    Network::new(&linears, activation, scale).unwrap()
}

fn check(
    widths: &[usize],
    activation: Activation,
    scale: InputScale,
    images: usize,
    ink: u8,
    seed: u64,
) {
    let mut numbers = Numbers(seed);
    let layers: Vec<Owned> = widths
        .windows(2)
        .map(|pair| numbers.layer(pair[0], pair[1]))
        .collect();
    let network = network(&layers, activation, scale);
    let (inputs, classes) = (widths[0], widths[widths.len() - 1]);
    let pixels: Vec<u8> = (0..images * inputs)
        .map(|_| {
            let inked = (numbers.next() + 1.0) * 50.0 < f32::from(ink);
            if inked {
                ((numbers.next() + 1.0) * 127.6) as u8
            } else {
                0
            }
        })
        .collect();
    let expected: Vec<f64> = pixels
        .chunks_exact(inputs)
        .flat_map(|image| naive(&layers, activation, scale, image))
        .collect();
    let largest = expected.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
    let floats: Vec<f32> = pixels.iter().map(|&x| f32::from(x) / 255.0).collect();
    for path in ExecutionPath::ALL {
        let mut logits = vec![f32::NAN; images * classes];
        network.logits_on(path, &pixels, &mut logits);
        if scale.scale == 255.0 {
            // As floats the same bits go in, so the same bits come out.
            let mut same = vec![f32::NAN; images * classes];
            network.logits_on(path, &floats, &mut same);
            assert_eq!(same, logits, "{path:?} {widths:?} {activation:?} as floats");
        }
        for (index, (&got, want)) in logits.iter().zip(&expected).enumerate() {
            // A quarter of what the exam allows.
            let bound = 2.5e-5 * (1.0 + largest);
            let difference = (f64::from(got) - want).abs();
            assert!(
                difference <= bound,
                "{path:?} {widths:?} {activation:?} logit {index}: {got} for {want}"
            );
        }
    }
}

fn activations() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::Relu),
        Just(Activation::ScaledTanh),
        Just(Activation::Gelu),
        Just(Activation::Tanh),
        Just(Activation::Sigmoid),
        (0.0_f32..=1.0).prop_map(|negative_slope| Activation::LeakyRelu { negative_slope })
    ]
}

fn scales() -> impl Strategy<Value = InputScale> {
    prop_oneof![
        Just(InputScale {
            scale: 255.0,
            mean: 0.0,
            std: 1.0
        }),
        Just(InputScale {
            scale: 255.0,
            mean: 0.1307,
            std: 0.3081
        }),
        (1.0_f32..256.0, -1.0_f32..1.0, 0.2_f32..2.0).prop_map(|(scale, mean, std)| InputScale {
            scale: scale.max(64.0),
            mean,
            std
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn both_paths_equal_the_naive_network(
        widths in prop::collection::vec(1_usize..150, 2..6),
        activation in activations(),
        scale in scales(),
        images in prop_oneof![1_usize..20, 250_usize..260],
        ink in 0_u8..=100,
        seed in any::<u64>(),
    ) {
        check(&widths, activation, scale, images, ink, seed);
    }
}

#[test]
fn networks_of_the_presets_equal_the_naive_network() {
    let mnist = InputScale {
        scale: 255.0,
        mean: 0.0,
        std: 1.0,
    };
    let shifted = InputScale {
        scale: 255.0,
        mean: 0.1307,
        std: 0.3081,
    };
    check(&[784, 10, 10], Activation::Relu, mnist, 9, 19, 1);
    check(&[784, 128, 10], Activation::Relu, shifted, 300, 19, 2);
    check(&[784, 10], Activation::Relu, mnist, 3, 19, 3);
    check(
        &[784, 300, 200, 100, 10],
        Activation::ScaledTanh,
        shifted,
        3,
        19,
        4,
    );
    check(&[784, 700, 300, 10], Activation::Gelu, mnist, 17, 100, 5);
    // Layers that leave panels part empty, which sigmoid fills with 0.5.
    check(&[784, 30, 21, 10], Activation::Sigmoid, mnist, 17, 19, 7);
    check(&[784, 30, 21, 10], Activation::Tanh, shifted, 17, 19, 8);
    let leaky = Activation::LeakyRelu {
        negative_slope: 0.01,
    };
    check(&[784, 30, 21, 10], leaky, mnist, 17, 19, 9);
    check(&[3, 1, 1000], Activation::Relu, mnist, 2, 50, 6);
}

#[test]
fn the_execution_path_changes_no_logit() {
    let scale = InputScale {
        scale: 255.0,
        mean: 0.5,
        std: 0.5,
    };
    // Work in the first layer, and work beyond it; much ink and little.
    let shapes: [&[usize]; 3] = [&[20, 4], &[20, 40, 40, 4], &[20, 64, 4]];
    for (widths, ink) in shapes
        .into_iter()
        .flat_map(|widths| [(widths, 20), (widths, 2)])
    {
        let mut numbers = Numbers(3);
        let layers: Vec<Owned> = widths
            .windows(2)
            .map(|pair| numbers.layer(pair[0], pair[1]))
            .collect();
        let network = network(&layers, Activation::Relu, scale);
        for images in [0, 1, 2, 7, 8, 9, 600] {
            let pixel = |i: usize| if i % 20 < ink { (i * 7 % 256) as u8 } else { 0 };
            let pixels: Vec<u8> = (0..images * 20).map(pixel).collect();
            let mut logits = vec![0.0; images * 4];
            network.logits(&pixels, &mut logits);
            for (index, image) in pixels.chunks_exact(20).enumerate() {
                let mut alone = [0.0; 4];
                network.logits(image, &mut alone);
                for (a, b) in alone.iter().zip(&logits[index * 4..]) {
                    assert!(
                        (a - b).abs() < 1e-5,
                        "{widths:?}, {images} images, image {index}: {a} and {b}"
                    );
                }
            }
        }
    }
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let scale = InputScale {
        scale: 255.0,
        mean: 0.0,
        std: 1.0,
    };
    let linear = |inputs, outputs, weight, bias| Linear {
        inputs,
        outputs,
        weight,
        bias,
    };
    let ones = [1.0_f32; 64];
    let cases: [(&[Linear<'_>], NetworkError); 5] = [
        (&[], NetworkError::Empty),
        (
            &[linear(4, 2, &ones[..7], &ones[..2])],
            NetworkError::Shape(0),
        ),
        (
            &[linear(4, 2, &ones[..8], &ones[..3])],
            NetworkError::Shape(0),
        ),
        (&[linear(0, 2, &[], &ones[..2])], NetworkError::Shape(0)),
        (
            &[
                linear(4, 2, &ones[..8], &ones[..2]),
                linear(3, 2, &ones[..6], &ones[..2]),
            ],
            NetworkError::Shape(1),
        ),
    ];
    for (layers, expected) in cases {
        assert_eq!(
            Network::new(layers, Activation::Relu, scale).err(),
            Some(expected)
        );
    }
}
