//! `digits serving`, `promote`, `drop`, `rollback` and `release`: lists and changes what is served.

use crate::{
    args::{At, Change, Drop, Promote, Release, Rollback, Serving},
    context::Context,
    lookup,
};
use digits_cli::{
    Error, format,
    registry::Registry,
    render::{Column, Table},
};
use digits_proto::{
    json,
    v1::{
        DropCandidatesRequest, PromoteRequest, ReleaseRequest, RollbackRequest, ServingRecord,
        ServingRole,
    },
};
use serde_json::json;

/// Runs `digits serving`.
pub async fn list(args: Serving, context: &Context) -> Result<(), Error> {
    let registry = Registry::open(&context.endpoints, args.at.storage.as_deref())?;
    let records = registry.serving_records(&args.model, args.limit).await?;
    if records.is_empty() && !context.json {
        let similar = lookup::similar_model(&args.model, &registry).await;
        let model = &args.model;
        context.hint(&format!(
            "nothing of the model {model:?} was served yet{similar}"
        ));
    }
    context.show(
        || json!({ "records": json::display_all(&records) }),
        || context.table(&table(&records)),
    )
}

/// Runs `digits promote`.
pub async fn promote(args: Promote, context: &Context) -> Result<(), Error> {
    let role = match (args.canary, args.shadow) {
        (Some(_), _) => ServingRole::Canary,
        (None, true) => ServingRole::Shadow,
        (None, false) => ServingRole::Primary,
    };
    let (registry, expected_sequence) = expected(&args.change, &args.at, context).await?;
    let (text, model) = (&args.checkpoint, &args.change.model);
    let checkpoint_id = lookup::checkpoint_id(text, model, &registry).await?;
    let request = PromoteRequest {
        model: args.change.model,
        checkpoint_id,
        expected_sequence,
        role: role.into(),
        share: args.canary,
        by: args.change.by,
    };
    show(registry.promote(request).await?, context)
}

/// Serves a checkpoint as the primary, by way of the trainer; returns the record.
pub async fn serve(
    checkpoint_id: String,
    change: Change,
    context: &Context,
) -> Result<ServingRecord, Error> {
    let (registry, expected_sequence) = expected(&change, &At::TRAINER, context).await?;
    let request = PromoteRequest {
        model: change.model,
        checkpoint_id,
        expected_sequence,
        role: ServingRole::Primary.into(),
        share: None,
        by: change.by,
    };
    registry.promote(request).await
}

/// Runs `digits drop`.
pub async fn drop_candidates(args: Drop, context: &Context) -> Result<(), Error> {
    let (registry, expected_sequence) = expected(&args.change, &args.at, context).await?;
    let request = DropCandidatesRequest {
        model: args.change.model,
        expected_sequence,
        by: args.change.by,
    };
    show(registry.drop_candidates(request).await?, context)
}

/// Runs `digits rollback`.
pub async fn rollback(args: Rollback, context: &Context) -> Result<(), Error> {
    let (registry, expected_sequence) = expected(&args.change, &args.at, context).await?;
    let request = RollbackRequest {
        model: args.change.model,
        expected_sequence,
        to_sequence: args.to,
        by: args.change.by,
    };
    show(registry.rollback(request).await?, context)
}

/// Runs `digits release`.
pub async fn release(args: Release, context: &Context) -> Result<(), Error> {
    let (registry, expected_sequence) = expected(&args.change, &args.at, context).await?;
    let request = ReleaseRequest {
        model: args.change.model,
        expected_sequence,
        by: args.change.by,
    };
    show(registry.release(request).await?, context)
}

/// The registry, and the sequence that the change builds on: the user's, else the newest there is.
async fn expected(change: &Change, at: &At, context: &Context) -> Result<(Registry, u64), Error> {
    let registry = Registry::open(&context.endpoints, at.storage.as_deref())?;
    let sequence = match change.expected_sequence {
        Some(sequence) => sequence,
        None => registry
            .serving_records(&change.model, 1)
            .await?
            .first()
            .map_or(0, |newest| newest.sequence),
    };
    Ok((registry, sequence))
}

fn show(record: ServingRecord, context: &Context) -> Result<(), Error> {
    context.show(
        || json::display(&record),
        || context.table(&table(std::slice::from_ref(&record))),
    )
}

fn table(records: &[ServingRecord]) -> Table {
    let mut table = Table::new(&[
        ("record", Column::Number),
        ("at", Column::Word),
        ("why", Column::Word),
        ("held", Column::Word),
        ("serves", Column::Ids),
        ("by", Column::Extra),
    ]);
    for record in records {
        if record.not_understood {
            let sequence = record.sequence.to_string();
            let cells = ["", "", "", "not understood, or damaged"];
            let cells = cells.map(str::to_owned);
            table.row(std::iter::once(sequence).chain(cells).collect());
            continue;
        }
        let routes: Vec<String> = record
            .routes
            .iter()
            .map(|route| match route.role() {
                ServingRole::Canary => format!(
                    "{} canary {:.0} %",
                    route.checkpoint_id,
                    route.share * 100.0
                ),
                ServingRole::Shadow => format!("{} shadow", route.checkpoint_id),
                _ => route.checkpoint_id.clone(),
            })
            .collect();
        table.row(vec![
            record.sequence.to_string(),
            format::time(record.at.as_ref()),
            format::word(record.reason().as_str_name(), "SERVING_REASON_").replace('_', " "),
            if record.hold { "held" } else { "" }.to_owned(),
            routes.join(", "),
            record.by.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_cli::render::{Style, visible_width};
    use digits_proto::v1::{ServingReason, ServingRoute};

    #[test]
    fn records_with_a_canary_fit_into_80_columns() {
        let route = |end: u8, role: ServingRole| ServingRoute {
            checkpoint_id: format!("0190a0b{end}-1234-7000-8000-000000000001"),
            role: role.into(),
            share: 0.1,
        };
        let record = ServingRecord {
            sequence: 12_345,
            hold: true,
            reason: ServingReason::RolledBack.into(),
            routes: vec![
                route(0, ServingRole::Primary),
                route(1, ServingRole::Canary),
            ],
            by: "somebody with a long name".repeat(4),
            at: Some(prost_types::Timestamp::default()),
            ..ServingRecord::default()
        };
        let unknown = ServingRecord {
            sequence: 12_346,
            not_understood: true,
            ..ServingRecord::default()
        };
        let lines = table(&[record, unknown]).lines(&Style::plain(80));
        assert_eq!(lines.len(), 3);
        assert!(
            lines.iter().all(|line| visible_width(line) <= 80),
            "{lines:#?}"
        );
        assert!(lines[1].contains("0190a0b0, 0190a0b1 canary"), "{lines:#?}");
    }
}
