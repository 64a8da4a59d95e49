//! `digits presets`: lists the presets of the trainer.

use crate::context::Context;
use digits_cli::{
    Error, json,
    render::{Align, Table},
};
use serde_json::json;

/// Runs `digits presets`.
pub async fn presets(context: &Context) -> Result<(), Error> {
    let presets = context.trainer()?.presets().await?;
    context.show(
        || json!({ "presets": json::all(&presets) }),
        || {
            let mut table = Table::new(&[("preset", Align::Left), ("description", Align::Left)]);
            for preset in &presets {
                table.row(vec![preset.name.clone(), preset.description.clone()]);
            }
            context.table(&table)
        },
    )
}
