//! `digits presets` and `digits datasets`: what a job may name.

use crate::context::Context;
use digits_cli::{
    Error, json,
    render::{Align, Table},
};
use digits_proto::v1::{ListDatasetsRequest, ListPresetsRequest};
use serde_json::json;

/// Runs `digits presets`.
pub async fn presets(context: &Context) -> Result<(), Error> {
    let mut client = context.endpoints.training()?;
    let answer = client
        .list_presets(ListPresetsRequest {})
        .await
        .map_err(Error::trainer)?;
    let presets = answer.into_inner().presets;
    if context.json {
        return context.document(&json!({ "presets": json::all(&presets) }));
    }
    let mut table = Table::new(&[("preset", Align::Left), ("description", Align::Left)]);
    for preset in presets {
        table.row(vec![preset.name, preset.description]);
    }
    context.table(&table)
}

/// Runs `digits datasets`.
pub async fn datasets(context: &Context) -> Result<(), Error> {
    let mut client = context.endpoints.training()?;
    let answer = client
        .list_datasets(ListDatasetsRequest {})
        .await
        .map_err(Error::trainer)?;
    let datasets = answer.into_inner().datasets;
    if context.json {
        return context.document(&json!({ "datasets": json::all(&datasets) }));
    }
    let mut table = Table::new(&[
        ("data set", Align::Left),
        ("size", Align::Right),
        ("labels", Align::Right),
        ("description", Align::Left),
    ]);
    for dataset in datasets {
        let known = dataset.height > 0;
        let unknown = || "-".to_owned();
        table.row(vec![
            dataset.name,
            if known {
                format!("{}x{}", dataset.height, dataset.width)
            } else {
                unknown()
            },
            if known {
                dataset.label_names.len().to_string()
            } else {
                unknown()
            },
            dataset.description,
        ]);
    }
    context.table(&table)
}
