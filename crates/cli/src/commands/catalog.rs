//! `digits presets`: the specs that a job may begin with.

use crate::context::Context;
use digits_cli::{
    Error, json,
    render::{Align, Table},
};
use digits_proto::v1::ListPresetsRequest;
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
