//! `digits presets`: lists the presets of the trainer.

use crate::context::Context;
use digits_cli::{
    Error,
    render::{Column, Table},
};
use digits_proto::json;
use serde_json::json;

/// Runs `digits presets`.
pub async fn presets(context: &Context) -> Result<(), Error> {
    let presets = context.trainer()?.presets().await?;
    context.show(
        || json!({ "presets": json::display_all(&presets) }),
        || {
            let mut table = Table::new(&[("preset", Column::Word), ("description", Column::Prose)]);
            for preset in &presets {
                table.row(vec![preset.name.clone(), preset.description.clone()]);
            }
            context.table(&table)
        },
    )
}
