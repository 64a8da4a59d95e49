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
                true => message::reference(it),
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

#[cfg(test)]
mod tests {
    use super::*;
    use digits_cli::render::{Style, visible_width};

    #[test]
    fn data_sets_with_long_names_fit_into_80_columns() {
        let dataset = Dataset {
            name: "a-data-set-with-a-long-name".repeat(2),
            description: "a sentence about a data set ".repeat(5),
            height: 1_024,
            width: 1_024,
            digest: "0123456789abcdef".repeat(4),
            train_images: 1_000_000,
            test_images: 1_000_000,
            pushed_at: Some(prost_types::Timestamp::default()),
            pushed_by: "somebody".to_owned(),
            superseded: true,
            ..Dataset::default()
        };
        for (handwriting, reading) in [(false, "+plain"), (true, "+handwriting")] {
            let superseded = Dataset {
                name: "letters".to_owned(),
                handwriting,
                ..dataset.clone()
            };
            let row = table(&[superseded]).lines(&Style::plain(200)).remove(1);
            let name = format!("letters@0123456789ab{reading} ");
            assert!(row.starts_with(&name), "{row}");
        }
        let lines = table(&[dataset]).lines(&Style::plain(80));
        assert_eq!(lines.len(), 2);
        assert!(
            lines.iter().all(|line| visible_width(line) <= 80),
            "{lines:#?}"
        );
    }
}
