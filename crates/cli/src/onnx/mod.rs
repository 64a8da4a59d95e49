//! Encodes a checkpoint as an ONNX model: raw pixels in, logits and probabilities out, so that its
//! user needs no preprocessing.
//!
//! The graph is that of the checkpoint's contract: x / scale, − mean, / std; layers with their
//! activation; the temperature before the softmax. Steps that would change nothing are left out.
//! Operators of the ONNX specification, operator set 17; GELU is written out with Erf, for it is an
//! operator only from 20 on.

pub mod messages;

use digits_checkpoint::{
    Layer, Loaded,
    manifest::{Activation, Manifest},
};
use messages::{
    AttributeProto, DataType, Dimension, DimensionProto, GraphProto, IR_VERSION, ModelProto,
    NodeProto, OPSET, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use prost::Message as _;

/// `AttributeProto.AttributeType.FLOAT`.
const FLOAT: i32 = 1;
/// `AttributeProto.AttributeType.INT`.
const INT: i32 = 2;

/// Type of the raw pixels that go in, 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// u8.
    Uint8,
    /// float32.
    Float32,
}

/// The model's bytes. Input `pixels`, [batch, height, width]; outputs `logits` and `probabilities`,
/// [batch, classes].
#[must_use]
pub fn encode(checkpoint: &Loaded, pixels: Pixels) -> Vec<u8> {
    model(checkpoint, pixels).encode_to_vec()
}

fn model(checkpoint: &Loaded, pixels: Pixels) -> ModelProto {
    let manifest = &checkpoint.manifest;
    let mut graph = Graph::default();
    let inputs = graph.scaled_pixels(manifest, pixels);
    let logits = graph.network(inputs, &checkpoint.layers, manifest.architecture.activation);
    graph.probabilities(&logits, manifest.temperature as f32);
    let classes = fixed(manifest.architecture.classes);
    let image = [manifest.input.height, manifest.input.width].map(fixed);
    let kind = match pixels {
        Pixels::Uint8 => DataType::Uint8,
        Pixels::Float32 => DataType::Float,
    };
    ModelProto {
        ir_version: IR_VERSION,
        producer_name: "digits".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: format!(
            "model {}, checkpoint {}: grey pixels 0 to 255, background black",
            manifest.model, manifest.id
        ),
        graph: Some(GraphProto {
            node: graph.nodes,
            name: manifest.model.to_string(),
            initializer: graph.tensors,
            input: vec![value("pixels", kind, image.to_vec())],
            output: vec![
                value("logits", DataType::Float, vec![classes.clone()]),
                value("probabilities", DataType::Float, vec![classes]),
            ],
        }),
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: OPSET,
        }],
        metadata_props: metadata(manifest),
    }
}

fn metadata(manifest: &Manifest) -> Vec<StringStringEntryProto> {
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: key.to_owned(),
        value,
    };
    vec![
        entry("checkpoint_id", manifest.id.to_string()),
        entry("weights_sha256", manifest.files.model.sha256.clone()),
        entry(
            "labels",
            serde_json::to_string(&manifest.labels).expect("texts have a JSON form"),
        ),
        entry("temperature", manifest.temperature.to_string()),
    ]
}

/// Nodes and constants so far. Every node has one output, named after it.
#[derive(Default)]
struct Graph {
    nodes: Vec<NodeProto>,
    tensors: Vec<TensorProto>,
}

impl Graph {
    /// Adds a node and returns the name of its output.
    fn node(&mut self, operator: &str, inputs: &[&str], output: &str) -> String {
        self.with(operator, inputs, output, &[])
    }

    fn with(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, i64)],
    ) -> String {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: operator.to_owned(),
            attribute: attributes
                .iter()
                .map(|&(name, i)| AttributeProto {
                    name: name.to_owned(),
                    i,
                    kind: INT,
                    ..AttributeProto::default()
                })
                .collect(),
        });
        output.to_owned()
    }

    fn tensor(&mut self, name: &str, dims: &[usize], numbers: &[f32]) -> String {
        self.tensors.push(TensorProto {
            dims: dims.iter().map(|&size| signed(size)).collect(),
            data_type: DataType::Float as i32,
            name: name.to_owned(),
            raw_data: numbers.iter().flat_map(|it| it.to_le_bytes()).collect(),
        });
        name.to_owned()
    }

    /// Applies `operator` with a number of its own on the right.
    fn number(&mut self, operator: &str, input: &str, output: &str, number: f32) -> String {
        let constant = self.tensor(&format!("{output}.number"), &[], &[number]);
        self.node(operator, &[input, &constant], output)
    }

    fn scaled_pixels(&mut self, manifest: &Manifest, pixels: Pixels) -> String {
        let spec = manifest.input;
        let mut name = "pixels".to_owned();
        if pixels == Pixels::Uint8 {
            let to = ("to", i64::from(DataType::Float as i32));
            name = self.with("Cast", &[&name], "input.float", &[to]);
        }
        name = self.with("Flatten", &[&name], "input.flat", &[("axis", 1)]);
        for (operator, output, number, neutral) in [
            ("Div", "input.scaled", spec.scale, 1.0),
            ("Sub", "input.centred", spec.mean, 0.0),
            ("Div", "input.normalised", spec.std, 1.0),
        ] {
            if number != neutral {
                name = self.number(operator, &name, output, number);
            }
        }
        name
    }

    /// The layers, named as in the state dict; the last gives `logits`.
    fn network(&mut self, input: String, layers: &[Layer], activation: Activation) -> String {
        let mut name = input;
        for (index, layer) in layers.iter().enumerate() {
            let place = format!("layers.{}", 2 * index + 1);
            let size = [layer.outputs, layer.inputs];
            let weight = self.tensor(&format!("{place}.weight"), &size, &layer.weight);
            let bias = self.tensor(&format!("{place}.bias"), &size[..1], &layer.bias);
            let last = index + 1 == layers.len();
            let output = if last { "logits" } else { place.as_str() };
            // y = x Wᵀ + b.
            let inputs = [name.as_str(), &weight, &bias];
            name = self.with("Gemm", &inputs, output, &[("transB", 1)]);
            if !last {
                name = self.activation(&name, &format!("layers.{}", 2 * index + 2), activation);
            }
        }
        name
    }

    fn activation(&mut self, input: &str, place: &str, activation: Activation) -> String {
        match activation {
            Activation::Relu => self.node("Relu", &[input], place),
            Activation::ScaledTanh => {
                let slower = self.number("Mul", input, &format!("{place}.slower"), 2.0 / 3.0);
                let tanh = self.node("Tanh", &[&slower], &format!("{place}.tanh"));
                self.number("Mul", &tanh, place, 1.7159)
            }
            Activation::Gelu => {
                let root = std::f32::consts::FRAC_1_SQRT_2;
                let scaled = self.number("Mul", input, &format!("{place}.scaled"), root);
                let erf = self.node("Erf", &[&scaled], &format!("{place}.erf"));
                let above = self.number("Add", &erf, &format!("{place}.above"), 1.0);
                let twice = self.node("Mul", &[input, &above], &format!("{place}.twice"));
                self.number("Mul", &twice, place, 0.5)
            }
            Activation::Tanh => self.node("Tanh", &[input], place),
            Activation::Sigmoid => self.node("Sigmoid", &[input], place),
            Activation::LeakyRelu { negative_slope } => {
                let name = self.node("LeakyRelu", &[input], place);
                let node = self.nodes.last_mut().expect("the node just added");
                node.attribute.push(AttributeProto {
                    name: "alpha".to_owned(),
                    f: negative_slope,
                    kind: FLOAT,
                    ..AttributeProto::default()
                });
                name
            }
        }
    }

    fn probabilities(&mut self, logits: &str, temperature: f32) {
        let mut name = logits.to_owned();
        if temperature != 1.0 {
            name = self.number("Div", &name, "logits.cooled", temperature);
        }
        self.with("Softmax", &[&name], "probabilities", &[("axis", 1)]);
    }
}

fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn fixed(size: usize) -> DimensionProto {
    DimensionProto {
        value: Some(Dimension::Value(signed(size))),
    }
}

/// A tensor with a batch before its `sizes`.
fn value(name: &str, kind: DataType, sizes: Vec<DimensionProto>) -> ValueInfoProto {
    let batch = DimensionProto {
        value: Some(Dimension::Param("batch".to_owned())),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: kind as i32,
                shape: Some(TensorShapeProto {
                    dim: std::iter::once(batch).chain(sizes).collect(),
                }),
            }),
        }),
    }
}

#[cfg(test)]
mod tests;
