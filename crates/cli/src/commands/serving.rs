//! `digits serving`, `promote`, `drop`, `rollback` and `release`: what served when, and changing it.

use super::filled;
use crate::{
    args::{Change, Drop, Promote, Release, Rollback, Serving},
    context::Context,
};
use digits_cli::{
    Error, Service, json,
    render::{Align, Table},
    text,
};
use digits_proto::v1::{
    ListServingRequest, PromoteRequest, ReleaseRequest, RollbackRequest, ServingRecord, ServingRole,
};
use serde_json::json;

/// Records of a page.
const PAGE: usize = 200;

/// Runs `digits serving`.
pub async fn list(args: Serving, context: &Context) -> Result<(), Error> {
    let records = records(&args.model, args.limit, context).await?;
    match context.json {
        true => context.document(&json!({ "records": json::all(&records) })),
        false => context.table(&table(&records)),
    }
}

/// Runs `digits promote`.
pub async fn promote(args: Promote, context: &Context) -> Result<(), Error> {
    let role = match (args.canary, args.shadow) {
        (Some(_), _) => ServingRole::Canary,
        (None, true) => ServingRole::Shadow,
        (None, false) => ServingRole::Primary,
    };
    let request = PromoteRequest {
        model: args.change.model.clone(),
        checkpoint_id: args.checkpoint,
        expected_sequence: expected(&args.change, context).await?,
        role: role.into(),
        share: args.canary,
        by: args.change.by,
    };
    written(Some(send(request, context).await?), context)
}

/// Serves a checkpoint as the primary; returns the record.
pub async fn serve(
    checkpoint_id: String,
    change: Change,
    context: &Context,
) -> Result<ServingRecord, Error> {
    let request = PromoteRequest {
        model: change.model.clone(),
        checkpoint_id,
        expected_sequence: expected(&change, context).await?,
        role: ServingRole::Primary.into(),
        share: None,
        by: change.by,
    };
    send(request, context).await
}

async fn send(request: PromoteRequest, context: &Context) -> Result<ServingRecord, Error> {
    let answer = context
        .endpoints
        .checkpoints()?
        .promote(request)
        .await
        .map_err(Error::trainer)?;
    filled(answer.into_inner().record, Service::Trainer, "record")
}

/// Runs `digits drop`: promotes the primary that serves, which ends what stands beside it.
pub async fn drop_candidates(args: Drop, context: &Context) -> Result<(), Error> {
    let change = args.change;
    let newest = records(&change.model, 1, context).await?.pop();
    let routes = newest.as_ref().map_or(&[][..], |record| &record.routes);
    let primary = routes
        .iter()
        .find(|route| route.role() == ServingRole::Primary);
    let (Some(newest), Some(primary)) = (&newest, primary) else {
        let message = format!("nothing of {} is served yet", change.model);
        return Err(Error::Negative(message));
    };
    if routes.len() == 1 {
        let (model, sequence) = (&change.model, newest.sequence);
        let message = format!("record {sequence} of {model} has neither canary nor shadow");
        return Err(Error::Negative(message));
    }
    let request = PromoteRequest {
        model: change.model,
        checkpoint_id: primary.checkpoint_id.clone(),
        // What was looked at: another one's decision in between is not undone.
        expected_sequence: change.expected_sequence.unwrap_or(newest.sequence),
        role: ServingRole::Primary.into(),
        share: None,
        by: change.by,
    };
    let answer = context
        .endpoints
        .checkpoints()?
        .promote(request)
        .await
        .map_err(Error::trainer)?;
    written(answer.into_inner().record, context)
}

/// Runs `digits rollback`.
pub async fn rollback(args: Rollback, context: &Context) -> Result<(), Error> {
    let request = RollbackRequest {
        model: args.change.model.clone(),
        expected_sequence: expected(&args.change, context).await?,
        to_sequence: args.to,
        by: args.change.by,
    };
    let answer = context
        .endpoints
        .checkpoints()?
        .rollback(request)
        .await
        .map_err(Error::trainer)?;
    written(answer.into_inner().record, context)
}

/// Runs `digits release`.
pub async fn release(args: Release, context: &Context) -> Result<(), Error> {
    let request = ReleaseRequest {
        model: args.change.model.clone(),
        expected_sequence: expected(&args.change, context).await?,
        by: args.change.by,
    };
    let answer = context
        .endpoints
        .checkpoints()?
        .release(request)
        .await
        .map_err(Error::trainer)?;
    written(answer.into_inner().record, context)
}

/// The sequence that the user saw, else the newest there is.
async fn expected(change: &Change, context: &Context) -> Result<u64, Error> {
    if let Some(sequence) = change.expected_sequence {
        return Ok(sequence);
    }
    let newest = records(&change.model, 1, context).await?;
    Ok(newest.first().map_or(0, |record| record.sequence))
}

fn written(record: Option<ServingRecord>, context: &Context) -> Result<(), Error> {
    let record = filled(record, Service::Trainer, "record")?;
    match context.json {
        true => context.document(&json::of(&record)),
        false => context.table(&table(&[record])),
    }
}

async fn records(
    model: &str,
    limit: usize,
    context: &Context,
) -> Result<Vec<ServingRecord>, Error> {
    let mut client = context.endpoints.checkpoints()?;
    let mut records = Vec::new();
    let mut page_token = String::new();
    while records.len() < limit {
        let request = ListServingRequest {
            model: model.to_owned(),
            page_size: (limit - records.len()).min(PAGE) as u32,
            page_token,
        };
        let page = client
            .list_serving(request)
            .await
            .map_err(Error::trainer)?
            .into_inner();
        records.extend(page.records);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(records)
}

fn table(records: &[ServingRecord]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("record", Right),
        ("at", Left),
        ("why", Left),
        ("held", Left),
        ("serves", Left),
        ("by", Left),
    ]);
    for record in records {
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
            text::time(record.at.as_ref()),
            text::word(record.reason().as_str_name(), "SERVING_REASON_").replace('_', " "),
            if record.hold {
                "held".to_owned()
            } else {
                String::new()
            },
            routes.join(", "),
            record.by.clone(),
        ]);
    }
    table
}
