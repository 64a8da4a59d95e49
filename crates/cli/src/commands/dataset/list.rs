//! `digits dataset list`, also `digits datasets`: lists the data sets that a job can name.

use super::message;
use crate::{args::ListDatasets, context::Context};
use digits_checkpoint::Storage;
use digits_cli::{
    Error, format,
    render::{Column, Table},
};
use digits_dataset::{messages, pushed};
use digits_proto::{json, v1::Dataset};
use serde_json::json;

/// Runs the command.
pub async fn run(args: ListDatasets, context: &Context) -> Result<(), Error> {
    let datasets = match args.storage {
        Some(url) => pushed::list(&Storage::open_existing(&url)?)
            .await?
            .into_iter()
            .map(messages::pushed)
            .collect(),
        None => context.trainer()?.datasets().await?,
    };
    context.show(
        || json!({ "datasets": json::display_all(&datasets) }),
        || context.table(&table(&datasets)),
    )
}

fn table(datasets: &[Dataset]) -> Table {
    let mut table = Table::new(&[
        ("data set", Column::Text),
        ("size", Column::Number),
        ("labels", Column::Number),
        ("train", Column::Number),
        ("test", Column::Number),
        ("digest", Column::Extra),
        ("pushed", Column::Extra),
        ("description", Column::Text),
    ]);
    let count = |images: u64| match images {
        0 => "-".to_owned(),
        images => format::grouped(images),
    };
    for it in datasets {
        let known = it.height > 0;
        let known_or_dash = |text: String| if known { text } else { "-".to_owned() };
        let pushed = it.pushed_at.as_ref().map_or_else(
            || "-".to_owned(),
            |at| match it.pushed_by.as_str() {
                "" => format::time(Some(at)),
                by => format!("{} by {by}", format::time(Some(at))),
            },
        );
        table.row(vec![
            match it.superseded {
                true => format!("{}@{}", it.name, message::short(&it.digest)),
                false => it.name.clone(),
            },
            known_or_dash(format!("{}x{}", it.height, it.width)),
            known_or_dash(it.label_names.len().to_string()),
            count(it.train_images),
            count(it.test_images),
            match it.digest.as_str() {
                "" => "-".to_owned(),
                digest => message::short(digest).to_owned(),
            },
            pushed,
            it.description.clone(),
        ]);
    }
    table
}
