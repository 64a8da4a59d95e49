//! `digits dataset list`, which is also `digits datasets`.

use super::{short, timestamp};
use crate::{args::ListDatasets, context::Context};
use digits_checkpoint::{Storage, manifest::PictureNormalization};
use digits_cli::{
    Error, json,
    render::{Align, Table},
    text,
};
use digits_dataset::pushed::{self, Listed};
use digits_proto::v1::{Dataset, DatasetOrigin, ListDatasetsRequest};
use serde_json::json;

/// Runs the command.
pub async fn run(args: ListDatasets, context: &Context) -> Result<(), Error> {
    let datasets = match args.storage {
        Some(url) => pushed::list(&Storage::open_existing(&url)?)
            .await?
            .into_iter()
            .map(message)
            .collect(),
        None => {
            let mut client = context.endpoints.training()?;
            let answer = client.list_datasets(ListDatasetsRequest {}).await;
            answer.map_err(Error::trainer)?.into_inner().datasets
        }
    };
    match context.json {
        true => context.document(&json!({ "datasets": json::all(&datasets) })),
        false => context.table(&table(&datasets)),
    }
}

/// A pushed data set as the trainer tells it.
pub fn message(listed: Listed) -> Dataset {
    let Listed {
        record,
        manifest,
        superseded,
    } = listed;
    let pixels = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    Dataset {
        size_bytes: manifest.size_bytes(),
        name: record.name.to_string(),
        description: record.description,
        height: pixels(manifest.height),
        width: pixels(manifest.width),
        label_names: manifest.labels,
        digest: record.digest,
        origin: DatasetOrigin::Pushed.into(),
        train_images: manifest.train.count,
        test_images: manifest.test.count,
        train_label_counts: manifest.train.class_counts,
        test_label_counts: manifest.test.class_counts,
        handwriting: manifest.picture_normalization == PictureNormalization::Mnist,
        pushed_at: Some(timestamp(record.pushed_at)),
        pushed_by: record.by,
        superseded,
    }
}

fn table(datasets: &[Dataset]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("data set", Left),
        ("size", Right),
        ("labels", Right),
        ("train", Right),
        ("test", Right),
        ("digest", Left),
        ("pushed", Left),
        ("description", Left),
    ]);
    let count = |images: u64| match images {
        0 => "-".to_owned(),
        images => text::grouped(images),
    };
    for it in datasets {
        let known = it.height > 0;
        let known_or_dash = |text: String| if known { text } else { "-".to_owned() };
        let pushed = it.pushed_at.as_ref().map_or_else(
            || "-".to_owned(),
            |at| match it.pushed_by.as_str() {
                "" => text::time(Some(at)),
                by => format!("{} by {by}", text::time(Some(at))),
            },
        );
        table.row(vec![
            match it.superseded {
                true => format!("{}@{}", it.name, short(&it.digest)),
                false => it.name.clone(),
            },
            known_or_dash(format!("{}x{}", it.height, it.width)),
            known_or_dash(it.label_names.len().to_string()),
            count(it.train_images),
            count(it.test_images),
            match it.digest.as_str() {
                "" => "-".to_owned(),
                digest => short(digest).to_owned(),
            },
            pushed,
            it.description.clone(),
        ]);
    }
    table
}
