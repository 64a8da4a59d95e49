//! State dicts as scripts write them, and broken ones.

use super::*;
use safetensors::tensor::TensorView;

/// Name, type, shape and numbers, which are repeated as often as the shape needs.
type Tensor = (String, Dtype, Vec<usize>, Vec<f32>);

fn file(tensors: &[Tensor]) -> Vec<u8> {
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, dtype, shape, numbers)| {
            let count: usize = shape.iter().product();
            let numbers = numbers.iter().cycle().take(count);
            numbers
                .flat_map(|number| encoded(*dtype, *number))
                .collect()
        })
        .collect();
    let views = tensors
        .iter()
        .zip(&data)
        .map(|((name, dtype, shape, _), data)| {
            let view = TensorView::new(*dtype, shape.clone(), data).expect("fits");
            (name.as_str(), view)
        });
    safetensors::serialize(views, None).expect("serialised")
}

fn encoded(dtype: Dtype, number: f32) -> Vec<u8> {
    match dtype {
        Dtype::F64 => f64::from(number).to_le_bytes().to_vec(),
        Dtype::F16 => half::f16::from_f32(number).to_le_bytes().to_vec(),
        Dtype::BF16 => half::bf16::from_f32(number).to_le_bytes().to_vec(),
        Dtype::I64 => (number as i64).to_le_bytes().to_vec(),
        Dtype::I8 => vec![number as u8],
        _ => number.to_le_bytes().to_vec(),
    }
}

fn tensor(name: &str, shape: &[usize], numbers: &[f32]) -> Tensor {
    (
        name.to_owned(),
        Dtype::F32,
        shape.to_vec(),
        numbers.to_vec(),
    )
}

fn f32(name: &str, shape: &[usize]) -> Tensor {
    tensor(name, shape, &[0.0])
}

/// NAME.weight and NAME.bias of a layer, [out, in].
fn pair(name: &str, outputs: usize, inputs: usize) -> Vec<Tensor> {
    vec![
        f32(&format!("{name}.bias"), &[outputs]),
        f32(&format!("{name}.weight"), &[outputs, inputs]),
    ]
}

/// The file of networks that take 4 values.
fn read4(tensors: &[Tensor]) -> Result<StateDict, String> {
    read(&file(tensors), 4, NormSettings::default()).map_err(|error| error.to_string())
}

fn sizes(tensors: &[Tensor]) -> Result<Vec<(usize, usize)>, String> {
    let each = |it: &Layer| (it.outputs, it.inputs);
    Ok(read4(tensors)?.layers.iter().map(each).collect())
}

#[test]
fn numbers_in_the_names_give_the_order_of_the_layers() {
    for [one, two] in [
        ["layers.1", "layers.3"],
        ["2", "10"],
        ["net.0.fc9", "net.0.fc11"],
        ["module.fc1", "module.fc2"],
        ["linear_relu_stack.0", "linear_relu_stack.2"],
    ] {
        // Both orders fit the shapes.
        let tensors = [pair(two, 4, 4), pair(one, 4, 4)].concat();
        assert_eq!(sizes(&tensors), Ok(vec![(4, 4), (4, 4)]), "{one} {two}");
        let tensors = [pair(two, 3, 5), pair(one, 5, 4)].concat();
        assert_eq!(sizes(&tensors), Ok(vec![(5, 4), (3, 5)]), "{one} {two}");
    }
    for alone in ["fc.", "", "fc_"] {
        let tensors = [
            f32(&format!("{alone}weight"), &[2, 4]),
            f32(&format!("{alone}bias"), &[2]),
        ];
        assert_eq!(sizes(&tensors), Ok(vec![(2, 4)]), "{alone}");
    }
}

#[test]
fn shapes_order_layers_whose_names_do_not() {
    for names in [
        ["hidden", "output"],
        ["output", "hidden"],
        ["features.0", "classifier.0"],
        ["input_layer", "head"],
    ] {
        let tensors = [pair(names[0], 5, 4), pair(names[1], 3, 5)].concat();
        let read = read4(&tensors).expect("one order fits");
        assert_eq!(read.layers[0].inputs, 4, "{names:?}");
        let order = format!("`{}`, `{}`", names[0], names[1]);
        assert!(read.notes.join(" ").contains(&order), "{:?}", read.notes);
    }
    // Numbers still count among the layers of one name.
    let tensors = [pair("out", 3, 4), pair("fc2", 4, 4), pair("fc1", 4, 4)].concat();
    assert_eq!(sizes(&tensors), Ok(vec![(4, 4), (4, 4), (3, 4)]));
}

#[test]
fn a_missing_bias_is_zero_and_other_float_types_are_converted() {
    for (dtype, note) in [
        (Dtype::F32, None),
        (Dtype::F64, None),
        (Dtype::F16, Some("from float16")),
        (Dtype::BF16, Some("from bfloat16")),
    ] {
        let weight = ("fc.weight".to_owned(), dtype, vec![2, 4], vec![0.5, -1.5]);
        let read = read4(&[weight]).expect("a layer");
        assert_eq!(read.layers[0].weight[..2], [0.5, -1.5], "{dtype:?}");
        assert_eq!(read.layers[0].bias, [0.0; 2]);
        let notes = read.notes.join(" ");
        assert!(notes.contains("without a bias, so with zeros for it: `fc`"));
        assert_eq!(notes.contains("converted"), note.is_some(), "{notes}");
        assert!(notes.contains(note.unwrap_or_default()), "{notes}");
    }
}

/// A module of a script's network.
#[derive(Clone, Copy)]
enum Module {
    /// [out, in].
    Linear(usize, usize),
    /// Units.
    Norm(usize),
    Tanh,
}

const WEIGHT: [f32; 3] = [1.0, -2.0, 0.5];
const GAMMA: [f32; 2] = [2.0, 0.5];
const MEAN: [f32; 2] = [0.25, 0.75];
const VARIANCE: [f32; 2] = [4.0, 9.0];

impl Module {
    fn tensors(self, name: &str) -> Vec<Tensor> {
        let part = |part: &str, shape: &[usize], numbers: &[f32]| {
            tensor(&format!("{name}.{part}"), shape, numbers)
        };
        match self {
            Self::Linear(outputs, inputs) => vec![
                part("weight", &[outputs, inputs], &WEIGHT),
                part("bias", &[outputs], &[0.5]),
            ],
            Self::Norm(width) => vec![
                part("weight", &[width], &GAMMA),
                part("bias", &[width], &[1.0]),
                part("running_mean", &[width], &MEAN),
                part("running_var", &[width], &VARIANCE),
                (
                    format!("{name}.num_batches_tracked"),
                    Dtype::I64,
                    vec![],
                    vec![7.0],
                ),
            ],
            Self::Tanh => Vec::new(),
        }
    }

    fn forward(self, values: &[f64]) -> Vec<f64> {
        let each = |function: &dyn Fn(usize, f64) -> f64| {
            let values = values.iter().enumerate();
            values.map(|(at, value)| function(at, *value)).collect()
        };
        match self {
            Self::Linear(outputs, inputs) => linear(
                &WEIGHT
                    .iter()
                    .copied()
                    .cycle()
                    .take(outputs * inputs)
                    .collect::<Vec<_>>(),
                &vec![0.5; outputs],
                values,
            ),
            Self::Norm(_) => each(&|at, value| {
                let [gamma, mean, variance] =
                    [GAMMA, MEAN, VARIANCE].map(|of| f64::from(of[at % 2]));
                (value - mean) / (variance + 1e-5).sqrt() * gamma + 1.0
            }),
            Self::Tanh => each(&|_, value| value.tanh()),
        }
    }
}

fn linear(weight: &[f32], bias: &[f32], values: &[f64]) -> Vec<f64> {
    let rows = weight.chunks_exact(values.len()).zip(bias);
    rows.map(|(row, bias)| {
        let products = row.iter().zip(values).map(|(w, x)| f64::from(*w) * x);
        f64::from(*bias) + products.sum::<f64>()
    })
    .collect()
}

/// Imports a network of 4 inputs and compares it with the script's; returns the other side of the
/// activation, if the names do not decide.
fn folded(modules: &[(&str, Module)], side: Option<Side>, note: &str) -> Option<Side> {
    let tensors: Vec<Tensor> = modules
        .iter()
        .flat_map(|(name, module)| module.tensors(name))
        .collect();
    let settings = NormSettings {
        side,
        ..NormSettings::default()
    };
    let read = read(&file(&tensors), 4, settings).expect("a network");
    let notes = read.notes.join(" ");
    assert!(notes.contains(note), "{note}: {notes}");
    let input = vec![0.25, -0.5, 1.0, 0.125];
    let expected = modules
        .iter()
        .fold(input.clone(), |values, (_, module)| module.forward(&values));
    let mut values = input;
    for (at, layer) in read.layers.iter().enumerate() {
        if at > 0 {
            values = Module::Tanh.forward(&values);
        }
        values = linear(&layer.weight, &layer.bias, &values);
    }
    for (got, want) in values.iter().zip(&expected) {
        assert!((got - want).abs() < 1e-5, "{note}: {got} for {want}");
    }
    read.other_side.map(|(side, _)| side)
}

#[test]
fn batch_normalization_is_folded_where_it_stands() {
    use Module::{Linear, Norm, Tanh};
    let (one, two) = (Linear(2, 4), Linear(3, 2));
    let (before, after) = (Some(Side::Before), Some(Side::After));
    let normal = [("fc1", one), ("bn1", Norm(2)), ("", Tanh), ("fc2", two)];
    let other = folded(&normal, None, "before the activation");
    assert_eq!(other, after, "the names do not decide");
    let late = [("fc1", one), ("", Tanh), ("bn1", Norm(2)), ("fc2", two)];
    let other = folded(&late, after, "after the activation");
    assert_eq!(other, None, "the client decided");
    let numbered = [("0", one), ("1", Norm(2)), ("", Tanh), ("3", two)];
    folded(&numbered, None, "before the activation");
    let numbered = [("0", one), ("", Tanh), ("2", Norm(2)), ("3", two)];
    let other = folded(&numbered, None, "after the activation");
    assert_eq!(other, before);
    let first = [("0", Norm(4)), ("1", one), ("", Tanh), ("3", two)];
    folded(&first, None, "`0` was folded into `1`");
    let last = [("0", one), ("", Tanh), ("2", two), ("3", Norm(3))];
    folded(&last, None, "`3` was folded into `2`");
    let lists = [
        ("fcs.0", one),
        ("norms.0", Norm(2)),
        ("", Tanh),
        ("fcs.1", two),
    ];
    folded(&lists, None, "`norms.0` was folded into `fcs.0`");
    let shifted = [
        ("fc1", one),
        ("bns.0", Norm(2)),
        ("", Tanh),
        ("fc2", two),
        ("bns.1", Norm(3)),
    ];
    folded(&shifted, None, "`bns.1` was folded into `fc2`");
    let both = [
        ("0", one),
        ("1", Norm(2)),
        ("", Tanh),
        ("3", Norm(2)),
        ("4", Norm(2)),
        ("5", two),
    ];
    folded(&both, None, "`1` was folded into `0`");
}

#[test]
fn batch_normalization_without_affine_has_no_weight() {
    let norm: Vec<Tensor> = Module::Norm(2).tensors("bn1").split_off(2);
    let linear = |name: &str, outputs, inputs| Module::Linear(outputs, inputs).tensors(name);
    let tensors = [linear("fc1", 2, 4), norm, linear("fc2", 3, 2)].concat();
    let read = read4(&tensors).expect("a network");
    let bias = (0.5 - 0.25) / 4.00001_f64.sqrt();
    assert!((f64::from(read.layers[0].bias[0]) - bias).abs() < 1e-6);
    // With the epsilon of another library.
    let settings = NormSettings {
        epsilon: 0.5,
        ..NormSettings::default()
    };
    let read = super::read(&file(&tensors), 4, settings).expect("a network");
    let bias = (0.5 - 0.25) / 4.5_f64.sqrt();
    assert!((f64::from(read.layers[0].bias[0]) - bias).abs() < 1e-6);
}

#[test]
fn what_cannot_be_imported_is_named_with_the_remedy() {
    let (weight, bias) = (f32("0.weight", &[2, 4]), f32("0.bias", &[2]));
    let typed = |dtype| {
        vec![
            ("0.weight".to_owned(), dtype, vec![2, 4], vec![1e30]),
            bias.clone(),
        ]
    };
    let norm = |name: &str, width| {
        ["running_mean", "running_var"].map(|part| f32(&format!("{name}.{part}"), &[width]))
    };
    let mut beyond = file(&typed(Dtype::F64)[..1]);
    let end = beyond.len();
    beyond[end - 8..].copy_from_slice(&1e300_f64.to_le_bytes());
    let error = read(&beyond, 4, NormSettings::default())
        .expect_err("beyond")
        .to_string();
    assert!(
        error.contains("1e300, which float32 cannot hold"),
        "{error}"
    );
    let cases: Vec<(Vec<Tensor>, &str)> = vec![
        (vec![], "no linear layer"),
        (vec![bias.clone()], "`0.weight` is missing"),
        (vec![f32("0.scale", &[1])], "`0.scale` is no"),
        (vec![f32("0.kernel", &[4, 2])], "save it transposed"),
        (vec![f32("0.weight_orig", &[4, 2])], "prune.remove"),
        (vec![f32("0.weight", &[2, 4, 1, 1])], "of a convolution"),
        (vec![f32("0.weight", &[2])], "LayerNorm"),
        (
            vec![weight.clone(), f32("0.bias", &[3])],
            "`0.bias` has the shape [3]",
        ),
        (
            vec![f32("0.weight", &[4, 2]), bias.clone()],
            "weight.T.contiguous()",
        ),
        (typed(Dtype::I8), "`0.weight` is I8"),
        (
            [pair("a", 4, 4), pair("b", 4, 4)].concat(),
            "the order of the layers is not known: more than one fits `a` of 4×4, `b` of 4×4",
        ),
        (
            [pair("a", 5, 4), pair("b", 3, 6)].concat(),
            "fit one after another in no order",
        ),
        (
            [pair("0", 2, 4), pair("1", 2, 3)].concat(),
            "`1.weight` takes 3 values, but `0.weight` before it gives 2",
        ),
        (
            vec![f32("fc1.weight", &[4, 5]), f32("fc2.weight", &[5, 3])],
            "`fc1.weight` is 4×5, [in, out]",
        ),
        (
            [pair("0", 2, 4), pair("00", 2, 2)].concat(),
            "have the same numbers",
        ),
        (
            [vec![weight.clone(), bias.clone()], norm("bn", 7).to_vec()].concat(),
            "`bn` normalizes 7 units",
        ),
        (
            [
                pair("fc1", 4, 4),
                pair("fc2", 4, 4),
                pair("fc3", 4, 4),
                norm("bn", 4).to_vec(),
            ]
            .concat(),
            "the place of `bn` is not known",
        ),
        (
            vec![weight, bias, f32("bn.running_mean", &[2])],
            "only one of running_mean",
        ),
    ];
    for (tensors, part) in cases {
        let error = read4(&tensors).expect_err(part);
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn incomplete_and_foreign_files_are_refused() {
    let good = file(&pair("0", 2, 4));
    assert!(read(&good, 4, NormSettings::default()).is_ok());
    for cut in 0..good.len() {
        assert!(
            read(&good[..cut], 4, NormSettings::default()).is_err(),
            "{cut}"
        );
    }
    assert!(read(&[255; 64], 4, NormSettings::default()).is_err());
    let torch = read(
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
        4,
        NormSettings::default(),
    );
    let error = torch.expect_err("a pickle").to_string();
    assert!(
        error.contains("safetensors.torch.save_file(torch.load("),
        "{error}"
    );
    let mut bad = good;
    let end = bad.len() - 4;
    bad[end..].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = read(&bad, 4, NormSettings::default())
        .expect_err("NaN")
        .to_string();
    assert!(error.contains("NaN"), "{error}");
}
