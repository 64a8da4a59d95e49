//! Comparison with PyTorch of the options that the notebook uses, on patterns and on MNIST.

use crate::reference_support::{Case, compare_all, quick, sgd};
use crate::support::{head, mnist, mnist_dir, notebook_plan, patterns, python_with_torch};
use digits_checkpoint::manifest::Activation;
use digits_testing::skip;
use digits_trainer::train::{InitialWeights, Plan, RngStream, Split};

#[test]
fn small_trainings_equal_pytorch() {
    let Some(python) = python_with_torch() else {
        return skip(
            "small_trainings_equal_pytorch",
            "Python has no torch, numpy and safetensors; set DIGITS_PYTHON",
        );
    };
    let data = patterns(1_000, 28, 28, 10);
    let plan = quick(&data);
    let network = |hidden: &[usize], activation| {
        let mut architecture = plan.architecture.clone();
        architecture.hidden = hidden.to_vec();
        architecture.activation = activation;
        architecture
    };
    let mut cases = vec![Case {
        name: "the notebook's network",
        plan: plan.clone(),
        data: &data,
    }];
    let other = Plan {
        seed: (7 << 32) | 123,
        generator_skip: 1_001,
        split_seed: Some(5),
        split: Split::Fractions {
            train: 0.775,
            validation: 0.225,
        },
        batch_size: 31,
        evaluation_batch_size: 50,
        architecture: network(&[33, 17], Activation::Relu),
        optimizer: sgd(0.05, 0.5, true, 1e-3),
        ..plan.clone()
    };
    cases.push(Case {
        name: "two layers, Nesterov, decay",
        plan: other,
        data: &data,
    });
    let other = Plan {
        architecture: network(&[], Activation::Relu),
        optimizer: sgd(0.1, 0.0, false, 1e-4),
        batch_size: 1,
        epochs: 1,
        ..plan.clone()
    };
    cases.push(Case {
        name: "linear, single images, no momentum",
        plan: other,
        data: &data,
    });
    let other = Plan {
        architecture: network(&[40], Activation::Gelu),
        ..plan.clone()
    };
    cases.push(Case {
        name: "GELU",
        plan: other,
        data: &data,
    });
    let mut other = Plan {
        architecture: network(&[24, 12], Activation::ScaledTanh),
        batch_size: 900,
        ..plan.clone()
    };
    (other.input.mean, other.input.std) = (0.1307, 0.3081);
    cases.push(Case {
        name: "scaled tanh, whole set at once, normalized",
        plan: other,
        data: &data,
    });

    for (name, activation) in [
        ("tanh", Activation::Tanh),
        ("sigmoid", Activation::Sigmoid),
        (
            "leaky ReLU",
            Activation::LeakyRelu {
                negative_slope: Activation::NEGATIVE_SLOPE,
            },
        ),
        (
            "leaky ReLU with another slope",
            Activation::LeakyRelu {
                negative_slope: 0.3,
            },
        ),
    ] {
        let other = Plan {
            architecture: network(&[33, 17], activation),
            ..plan.clone()
        };
        cases.push(Case {
            name,
            plan: other,
            data: &data,
        });
    }

    // Weights of another seed, so that drawn ones would be seen.
    let elsewhere = RngStream::begin(
        &Plan {
            seed: 99,
            ..plan.clone()
        },
        data.train.images.count,
    );
    let other = Plan {
        initial_weights: Some(InitialWeights::new(elsewhere.unwrap().layers)),
        ..plan.clone()
    };
    cases.push(Case {
        name: "started from a state dict",
        plan: other,
        data: &data,
    });

    let odd = patterns(501, 9, 7, 3);
    let other = Plan {
        batch_size: 64,
        split: Split::Counts {
            train: 400,
            validation: 101,
        },
        ..quick(&odd)
    };
    cases.push(Case {
        name: "images of 9×7",
        plan: other,
        data: &odd,
    });
    compare_all(&python, &cases);
}

#[test]
fn an_epoch_of_mnist_equals_pytorch() {
    let name = "an_epoch_of_mnist_equals_pytorch";
    let Some(python) = python_with_torch() else {
        return skip(name, "Python has no torch; set DIGITS_PYTHON");
    };
    let Some(dir) = mnist_dir() else {
        return skip(name, "set DIGITS_MNIST_DIR to a folder with MNIST's files");
    };
    let data = mnist(&dir);
    let plan = Plan {
        seed: 1,
        generator_skip: 0,
        epochs: 1,
        validate_every: 200,
        ..notebook_plan(&data)
    };
    let some = head(&data, 5_000);
    let mut wider = Plan {
        seed: 2,
        generator_skip: 0,
        epochs: 1,
        ..notebook_plan(&some)
    };
    wider.architecture.hidden = vec![128];
    compare_all(
        &python,
        &[
            Case {
                name: "MNIST",
                plan,
                data: &data,
            },
            Case {
                name: "MNIST's first 5,000, 128 hidden",
                plan: wider,
                data: &some,
            },
        ],
    );
}
