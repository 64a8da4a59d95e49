use super::*;
use digits_checkpoint::Exam;

const MANIFEST: &str = include_str!("../../../checkpoint/tests/golden/manifest.json");

/// Every layer but the last takes 784 values and gives 784.
fn loaded(activation: Activation, change: impl FnOnce(&mut Manifest)) -> Loaded {
    let mut manifest: Manifest = serde_json::from_str(MANIFEST).expect("a manifest");
    manifest.architecture.activation = activation;
    change(&mut manifest);
    let layer = |(outputs, inputs)| Layer {
        outputs,
        inputs,
        weight: vec![0.5; outputs * inputs],
        bias: vec![0.25; outputs],
    };
    Loaded {
        layers: manifest
            .architecture
            .layers()
            .into_iter()
            .map(layer)
            .collect(),
        manifest,
        manifest_sha256: String::new(),
        probabilities: None,
        exam: Exam {
            inputs: Vec::new(),
            logits: Vec::new(),
            images: 0,
        },
    }
}

fn operators(checkpoint: &Loaded, pixels: Pixels) -> Vec<String> {
    let model = ModelProto::decode(encode(checkpoint, pixels).as_slice()).expect("a model");
    let graph = model.graph.expect("a graph");
    // Every input of a node is the graph's, a constant's or an earlier node's.
    let mut known: Vec<String> = graph.input.iter().map(|it| it.name.clone()).collect();
    known.extend(graph.initializer.iter().map(|it| it.name.clone()));
    for node in &graph.node {
        for input in &node.input {
            assert!(known.contains(input), "{input} of {}", node.name);
        }
        known.extend(node.output.iter().cloned());
    }
    assert!(graph.output.iter().all(|it| known.contains(&it.name)));
    let names = known.len();
    known.sort();
    known.dedup();
    assert_eq!(known.len(), names, "names are given once");
    graph.node.into_iter().map(|node| node.op_type).collect()
}

#[test]
fn steps_that_change_nothing_are_left_out() {
    let plain = loaded(Activation::Relu, |manifest| {
        (manifest.input.mean, manifest.input.std) = (0.0, 1.0);
        manifest.temperature = 1.0;
    });
    assert_eq!(
        operators(&plain, Pixels::Uint8),
        ["Cast", "Flatten", "Div", "Gemm", "Relu", "Gemm", "Softmax"]
    );
    let full = loaded(Activation::ScaledTanh, |manifest| {
        (manifest.input.mean, manifest.input.std) = (0.1307, 0.3081);
        manifest.temperature = 1.5;
    });
    assert_eq!(
        operators(&full, Pixels::Float32),
        [
            "Flatten", "Div", "Sub", "Div", "Gemm", "Mul", "Tanh", "Mul", "Gemm", "Div", "Softmax"
        ]
    );
    let gelu = operators(&loaded(Activation::Gelu, |_| ()), Pixels::Uint8);
    assert!(gelu.join(" ").contains("Gemm Mul Erf Add Mul Mul Gemm"));
    for (activation, operator) in [
        (Activation::Tanh, "Tanh"),
        (Activation::Sigmoid, "Sigmoid"),
        (
            Activation::LeakyRelu {
                negative_slope: 0.2,
            },
            "LeakyRelu",
        ),
    ] {
        let found = operators(&loaded(activation, |_| ()), Pixels::Uint8).join(" ");
        let expected = format!("Gemm {operator} Gemm");
        assert!(found.contains(&expected), "{found}");
    }
}

#[test]
fn weights_and_labels_are_inside() {
    let checkpoint = loaded(Activation::Relu, |_| ());
    let model = model(&checkpoint, Pixels::Uint8);
    let graph = model.graph.expect("a graph");
    let weight = graph
        .initializer
        .iter()
        .find(|it| it.name == "layers.1.weight")
        .expect("the first layer");
    assert_eq!(weight.dims, [10, 784]);
    assert_eq!(weight.raw_data.len(), 10 * 784 * 4);
    let labels = model.metadata_props.iter().find(|it| it.key == "labels");
    assert!(labels.is_some_and(|it| it.value.starts_with(r#"["0""#)));
}
