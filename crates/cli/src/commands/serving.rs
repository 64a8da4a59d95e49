//! `digits serving`, `promote`, `drop`, `rollback` and `release`: lists and changes what is served.

use super::{promotion, signing};
use crate::{
    args::{At, Change, Drop, Promote, Release, Rollback, Serving},
    context::Context,
    lookup,
};
use digits_checkpoint::Keys;
use digits_cli::{
    Error, format,
    registry::Registry,
    render::{Column, Table},
};
use digits_proto::{
    json,
    v1::{
        Checkpoint, DropCandidatesRequest, PreviousPrimary, PromoteRequest, ReleaseRequest,
        RollbackRequest, ServingRecord, ServingRole,
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
    let mut keys = signing::keys(&args.keys, &args.at)?;
    if args.allow_unsigned {
        keys = keys.map(Keys::or_unsigned);
    }
    let base = Base::read(&args.change, &args.at, keys, context).await?;
    let (text, model) = (&args.checkpoint, &args.change.model);
    let checkpoint_id = lookup::checkpoint_id(text, model, &base.registry).await?;
    let request = PromoteRequest {
        model: args.change.model,
        checkpoint_id,
        expected_sequence: base.sequence,
        role: role.into(),
        share: args.canary,
        by: args.change.by,
    };
    let record = base.registry.promote(request).await?;
    base.changed(record).await.show(context)
}

/// Serves a checkpoint as the primary, by way of the trainer.
pub async fn serve(
    checkpoint_id: String,
    change: Change,
    context: &Context,
) -> Result<Changed, Error> {
    let base = Base::read(&change, &At::TRAINER, None, context).await?;
    let request = PromoteRequest {
        model: change.model,
        checkpoint_id,
        expected_sequence: base.sequence,
        role: ServingRole::Primary.into(),
        share: None,
        by: change.by,
    };
    let record = base.registry.promote(request).await?;
    Ok(base.changed(record).await)
}

/// Runs `digits drop`.
pub async fn drop_candidates(args: Drop, context: &Context) -> Result<(), Error> {
    let keys = signing::keys(&args.keys, &args.at)?;
    let base = Base::read(&args.change, &args.at, keys, context).await?;
    let request = DropCandidatesRequest {
        model: args.change.model,
        expected_sequence: base.sequence,
        by: args.change.by,
    };
    let record = base.registry.drop_candidates(request).await?;
    base.changed(record).await.show(context)
}

/// Runs `digits rollback`.
pub async fn rollback(args: Rollback, context: &Context) -> Result<(), Error> {
    let mut keys = signing::keys(&args.keys, &args.at)?;
    if args.allow_unsigned {
        keys = keys.map(Keys::or_unsigned);
    }
    let base = Base::read(&args.change, &args.at, keys, context).await?;
    let request = RollbackRequest {
        model: args.change.model,
        expected_sequence: base.sequence,
        to_sequence: args.to,
        by: args.change.by,
    };
    let record = base.registry.rollback(request).await?;
    base.changed(record).await.show(context)
}

/// Runs `digits release`.
pub async fn release(args: Release, context: &Context) -> Result<(), Error> {
    let keys = signing::keys(&args.keys, &args.at)?;
    let base = Base::read(&args.change, &args.at, keys, context).await?;
    let request = ReleaseRequest {
        model: args.change.model,
        expected_sequence: base.sequence,
        by: args.change.by,
    };
    let record = base.registry.release(request).await?;
    base.changed(record).await.show(context)
}

/// What a change builds on.
struct Base {
    registry: Registry,
    /// Name of the model.
    model: String,
    /// The sequence that the user named, else that of the newest record.
    sequence: u64,
    /// The record with this sequence, where it is known.
    record: Option<ServingRecord>,
}

impl Base {
    async fn read(
        change: &Change,
        at: &At,
        keys: Option<Keys>,
        context: &Context,
    ) -> Result<Self, Error> {
        let registry = Registry::open(&context.endpoints, at.storage.as_deref())?;
        let registry = registry.with_keys(keys);
        let newest = registry.serving_records(&change.model, 1).await;
        let newest = match change.expected_sequence {
            // It is only shown.
            Some(_) => newest.unwrap_or_default(),
            None => newest?,
        };
        let newest = newest.into_iter().next();
        let newest_sequence = newest.as_ref().map_or(0, |it| it.sequence);
        let sequence = change.expected_sequence.unwrap_or(newest_sequence);
        Ok(Self {
            registry,
            model: change.model.clone(),
            sequence,
            record: newest.filter(|it| it.sequence == sequence),
        })
    }

    /// The change that `record` made.
    async fn changed(self, record: ServingRecord) -> Changed {
        let old = self.record.as_ref().and_then(primary);
        let replaced = old.filter(|old| primary(&record).is_some_and(|new| new != *old));
        let Some(id) = replaced else {
            return Changed {
                model: self.model,
                record,
                accuracy: None,
                replaced: None,
            };
        };
        let new = self.checkpoint(primary(&record).unwrap_or_default()).await;
        let old = self.checkpoint(id).await;
        let lineage = old.lineage.as_ref();
        let replaced = PreviousPrimary {
            sequence: self.sequence,
            checkpoint_id: id.to_owned(),
            accuracy: accuracy(&old),
            dataset: lineage.map(|it| it.dataset.clone()).unwrap_or_default(),
            job_id: lineage.map(|it| it.job_id.clone()).unwrap_or_default(),
        };
        Changed {
            accuracy: accuracy(&new),
            replaced: Some(replaced),
            model: self.model,
            record,
        }
    }

    /// A checkpoint; empty if it cannot be read, because the change is made already.
    async fn checkpoint(&self, id: &str) -> Checkpoint {
        self.registry.checkpoint(id).await.unwrap_or_default()
    }
}

/// A change of what is served.
pub struct Changed {
    model: String,
    /// The record that was written.
    pub record: ServingRecord,
    /// Accuracy of the new primary.
    accuracy: Option<f64>,
    /// The primary before it, if that is another checkpoint.
    replaced: Option<PreviousPrimary>,
}

impl Changed {
    /// Lines about the primary that was replaced; none if there was none.
    pub fn lines(&self) -> Vec<String> {
        let replaced = self.replaced.iter();
        replaced
            .flat_map(|it| promotion::replaced(self.accuracy, it, &self.model))
            .collect()
    }

    /// Prints the record that was written.
    pub fn show(&self, context: &Context) -> Result<(), Error> {
        let document = || {
            let mut document = json::display(&self.record);
            if let Some(replaced) = &self.replaced {
                document["replaced"] = json::display(replaced);
            }
            document
        };
        let lines = || {
            let mut lines = context.table(&table(std::slice::from_ref(&self.record)));
            lines.extend(self.lines());
            lines
        };
        context.show(document, lines)
    }
}

/// The checkpoint that answers requests unless a canary does.
fn primary(record: &ServingRecord) -> Option<&str> {
    let mut routes = record.routes.iter();
    let primary = routes.find(|route| route.role() == ServingRole::Primary)?;
    Some(&primary.checkpoint_id)
}

/// Share of correct answers on the validation set, or on the test set if that alone was measured.
fn accuracy(checkpoint: &Checkpoint) -> Option<f64> {
    let measured = checkpoint.validation.as_ref();
    let measured = measured.or(checkpoint.test.as_ref());
    measured.map(|it| it.accuracy)
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
            author(record),
        ]);
    }
    table
}

/// `alice`, or `alice: her note`.
fn author(record: &ServingRecord) -> String {
    match record.note.as_str() {
        "" => record.by.clone(),
        note => format!("{}: {note}", record.by),
    }
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
