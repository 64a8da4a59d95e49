//! The networks that a benchmark compares, and the tables that it prints.

use anyhow::Context as _;
use digits_checkpoint::{Storage, id::ModelName, load, serving};
use digits_inference::{
    engine::probability::{Softmax, most_probable},
    model::LoadedModel,
};

/// A network with its name in the table.
pub struct Net {
    pub name: String,
    prepared: LoadedModel,
}

/// Opens `NAME=STORAGE…`, each storage with a model `digits` of MNIST's form.
pub fn open_all(arguments: &[String]) -> anyhow::Result<Vec<Net>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let open = |argument: &String| runtime.block_on(open(argument));
    arguments.iter().map(open).collect()
}

async fn open(argument: &str) -> anyhow::Result<Net> {
    let (name, storage) = argument.split_once('=').context("NAME=STORAGE")?;
    let storage = Storage::open(storage)?;
    let model: ModelName = "digits".parse()?;
    let record = serving::head(&storage, &model).await?;
    let id = record
        .and_then(|record| record.primary())
        .with_context(|| format!("{name}: nothing serves"))?;
    let loaded = load(&storage, id).await?;
    Ok(Net {
        name: name.to_owned(),
        prepared: LoadedModel::new(&loaded)?,
    })
}

impl Net {
    /// The most probable label of 28 × 28 bytes, and its probability.
    pub fn answer(&self, input: &[u8]) -> (usize, f32) {
        let classes = self.prepared.network.classes();
        let (mut logits, mut probabilities) = (vec![0.0; classes], vec![0.0; classes]);
        self.prepared.network.logits(input, &mut logits);
        let temperature = self.prepared.manifest.temperature;
        Softmax::new(temperature, classes).of(&logits, &mut probabilities);
        let label = most_probable(&probabilities);
        (label, probabilities[label])
    }

    /// Percentage of wrong answers; where there is no input the answer is wrong.
    pub fn error(&self, inputs: &[(usize, Option<Vec<u8>>)]) -> f64 {
        let wrong = inputs
            .iter()
            .filter(|(truth, input)| {
                let answer = input.as_ref().map(|input| self.answer(input).0);
                answer != Some(*truth)
            })
            .count();
        100.0 * wrong as f64 / inputs.len() as f64
    }
}

/// Prints the names of the columns.
pub fn head(first: &str, nets: &[Net]) {
    print!("{first:<32}");
    nets.iter().for_each(|net| print!("{:>12}", net.name));
    println!();
}

/// Prints a row of percentages.
pub fn row(name: &str, figures: impl Iterator<Item = f64>) {
    print!("{name:<32}");
    figures.for_each(|figure| print!("{figure:>12.1}"));
    println!();
}
