//! CheckpointService: lists the checkpoints on the storage, and changes which are served by
//! appending serving records.

use super::{
    errors::{append, import_failed, invalid_field, report_failed, storage, store as store_status},
    import,
    import_quota::ImportQuota,
    page::{self, Page},
    report_messages::report_card,
    serving_events,
    uninterrupted::uninterrupted,
};
use crate::{
    datasets::Catalog,
    reporter::Reporter,
    store::Store,
    wire::{self, cloud_event::Change},
};
use digits_checkpoint::{
    Storage,
    id::{CheckpointId, ModelName},
    manifest::Manifest,
    messages::{self, checkpoint, listed_record, promotion, serving_record},
    record::Role,
    serving::{self, Author, Candidate},
    unfinished,
};
use digits_proto::v1::{
    Checkpoint, DropCandidatesRequest, DropCandidatesResponse, GetCheckpointRequest,
    GetCheckpointResponse, ImportCheckpointRequest, ImportCheckpointResponse,
    ListCheckpointsRequest, ListCheckpointsResponse, ListServingRequest, ListServingResponse,
    PromoteRequest, PromoteResponse, ReleaseRequest, ReleaseResponse, ReportCheckpointRequest,
    ReportCheckpointResponse, RollbackRequest, RollbackResponse, ServingRole,
    checkpoint_service_server::{CheckpointService, CheckpointServiceServer},
};
use digits_server::{RequestContext, not_found};
use futures::StreamExt as _;
use std::{collections::HashMap, sync::Arc};
use tonic::{Request, Response, Status, Streaming};

/// Serving records that are read concurrently.
const CONCURRENT_READS: usize = 16;

/// The service.
pub struct Checkpoints {
    /// The checkpoints.
    pub storage: Storage,
    /// What the job database has of their jobs.
    pub store: Store,
    /// Data sets that imports are measured on.
    pub catalog: Arc<Catalog>,
    /// Measures report cards.
    pub reporter: Reporter,
    /// Lets clients import.
    pub imports: ImportQuota,
}

impl Checkpoints {
    /// The tonic service; larger requests than `max_message_bytes` are refused.
    #[must_use]
    pub fn into_server(self, max_message_bytes: usize) -> CheckpointServiceServer<Self> {
        digits_server::compressed!(CheckpointServiceServer::new(self))
            .max_decoding_message_size(max_message_bytes)
    }

    /// The messages of checkpoints, with what the job database and the storage have of their jobs.
    async fn messages(&self, manifests: &[Manifest]) -> Result<Vec<Checkpoint>, Status> {
        let ids = manifests.iter().map(|manifest| manifest.id).collect();
        let known = self.store.publications(ids).await;
        let known = known.map_err(|error| store_status(error, ""))?;
        // Jobs of other trainers.
        let marks = match manifests.iter().all(|it| known.contains_key(&it.id)) {
            true => HashMap::new(),
            false => unfinished::list(&self.storage)
                .await
                .map_err(|error| storage(&error))?,
        };
        let message = |manifest: &Manifest| {
            let mut message = checkpoint(manifest);
            let job = manifest.lineage.job.as_ref();
            if let Some(&how) = job.and_then(|job| marks.get(job)) {
                message.job_state = messages::unfinished(how).into();
            }
            if let Some(publication) = known.get(&manifest.id) {
                message.job_state = wire::state(publication.state).into();
                let decision = publication.decision.as_ref();
                message.promotion = decision.map(|decision| promotion(manifest.id, decision));
            }
            message
        };
        Ok(manifests.iter().map(message).collect())
    }

    async fn message(&self, manifest: Manifest) -> Result<Option<Checkpoint>, Status> {
        Ok(self.messages(&[manifest]).await?.pop())
    }
}

fn model(text: &str) -> Result<ModelName, Status> {
    text.parse()
        .map_err(|error| invalid_field("model", format!("{error}")))
}

fn checkpoint_id(text: &str) -> Result<CheckpointId, Status> {
    text.parse()
        .map_err(|error| invalid_field("checkpoint_id", format!("{error}")))
}

/// The author of a serving record: the client where it is known, with the text that it gives as a
/// note; else that text.
fn author(context: &RequestContext, text: String) -> Result<Author, Status> {
    if text.chars().count() > serving::MAX_BY_CHARS || text.chars().any(char::is_control) {
        return Err(invalid_field(
            "by",
            format!(
                "must be at most {} printable characters",
                serving::MAX_BY_CHARS
            ),
        ));
    }
    if !text.is_empty() {
        context.audit("by", &text);
    }
    let text = Some(text).filter(|text| !text.is_empty());
    Ok(match &context.client {
        Some(client) => Author {
            by: client.name.to_string(),
            note: text,
        },
        None => text.as_deref().unwrap_or("an operator").into(),
    })
}

fn candidate(request: &PromoteRequest) -> Result<Candidate, Status> {
    let role = match ServingRole::try_from(request.role) {
        Ok(ServingRole::Unspecified | ServingRole::Primary) => Role::Primary,
        Ok(ServingRole::Canary) => Role::Canary,
        Ok(ServingRole::Shadow) => Role::Shadow,
        Err(_) => {
            return Err(invalid_field(
                "role",
                "is not known: use PRIMARY, CANARY or SHADOW",
            ));
        }
    };
    let valid = match (role, request.share) {
        (Role::Canary, Some(share)) => share > 0.0 && share < 1.0,
        (Role::Canary, None) => false,
        (Role::Primary | Role::Shadow, share) => share.is_none(),
    };
    if !valid {
        return Err(invalid_field(
            "share",
            "must be between 0 and 1 for a canary, and not set for the others",
        ));
    }
    Ok(Candidate {
        checkpoint: checkpoint_id(&request.checkpoint_id)?,
        role,
        share: request.share,
    })
}

#[tonic::async_trait]
impl CheckpointService for Checkpoints {
    async fn list_checkpoints(
        &self,
        request: Request<ListCheckpointsRequest>,
    ) -> Result<Response<ListCheckpointsResponse>, Status> {
        let request = request.into_inner();
        let mut page = Page::new(page::size(request.page_size)?);
        let after: Option<Key> = page::key("checkpoints", &request.page_token)?;
        let mut all = digits_checkpoint::list_checkpoints(&self.storage)
            .await
            .map_err(|error| storage(&error))?;
        all.retain(|manifest| {
            (request.model.is_empty() || manifest.model.as_str() == request.model)
                && (request.job_id.is_empty()
                    || manifest.lineage.job.as_deref() == Some(&request.job_id))
        });
        let key = |manifest: &Manifest| Key(manifest.created_at.as_microsecond(), manifest.id);
        all.sort_by_key(|manifest| std::cmp::Reverse(key(manifest)));
        if let Some(after) = after {
            all.retain(|manifest| key(manifest) < after);
        }
        let candidates = &all[..all.len().min(page.room())];
        for message in self.messages(candidates).await? {
            if !page.push(message) {
                break;
            }
        }
        let next_page_token = match all[..page.items.len()].last() {
            Some(last) if page.items.len() < all.len() => {
                page::token("checkpoints", &key(last).to_string())
            }
            _ => String::new(),
        };
        Ok(Response::new(ListCheckpointsResponse {
            checkpoints: page.items,
            next_page_token,
        }))
    }

    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        let id = checkpoint_id(&request.into_inner().checkpoint_id)?;
        let manifest = digits_checkpoint::manifest(&self.storage, id)
            .await
            .map_err(|error| storage(&error))?
            .ok_or_else(|| {
                not_found(
                    "checkpoint",
                    id.to_string(),
                    format!("there is no committed checkpoint {id}: ListCheckpoints lists them"),
                )
            })?;
        Ok(Response::new(GetCheckpointResponse {
            checkpoint: self.message(manifest).await?,
        }))
    }

    async fn promote(
        &self,
        request: Request<PromoteRequest>,
    ) -> Result<Response<PromoteResponse>, Status> {
        let context = RequestContext::of(request.extensions());
        let request = request.into_inner();
        let model = model(&request.model)?;
        context.audit("model", model.to_string());
        context.audit("checkpoint_id", &request.checkpoint_id);
        let candidate = candidate(&request)?;
        let change = Change::Promoted(candidate.checkpoint);
        let by = author(&context, request.by)?;
        let expected = request.expected_sequence;
        let (storage, store) = (self.storage.clone(), self.store.clone());
        let record = uninterrupted(async move {
            let promoting = serving::promote(&storage, &model, expected, candidate, by);
            let record = promoting.await.map_err(|error| append(&error))?;
            serving_events::served(&store, &model, change, &record).await;
            Ok(record)
        })
        .await?;
        context.audit("sequence", record.sequence.to_string());
        Ok(Response::new(PromoteResponse {
            record: Some(serving_record(&record)),
        }))
    }

    async fn rollback(
        &self,
        request: Request<RollbackRequest>,
    ) -> Result<Response<RollbackResponse>, Status> {
        let context = RequestContext::of(request.extensions());
        let request = request.into_inner();
        let model = model(&request.model)?;
        context.audit("model", model.to_string());
        let by = author(&context, request.by)?;
        let (expected, to) = (request.expected_sequence, request.to_sequence);
        let (storage, store) = (self.storage.clone(), self.store.clone());
        let record = uninterrupted(async move {
            let returning = serving::rollback(&storage, &model, expected, to, by);
            let record = returning.await.map_err(|error| append(&error))?;
            serving_events::served(&store, &model, Change::RolledBack, &record).await;
            Ok(record)
        })
        .await?;
        context.audit("sequence", record.sequence.to_string());
        Ok(Response::new(RollbackResponse {
            record: Some(serving_record(&record)),
        }))
    }

    async fn release(
        &self,
        request: Request<ReleaseRequest>,
    ) -> Result<Response<ReleaseResponse>, Status> {
        let context = RequestContext::of(request.extensions());
        let request = request.into_inner();
        let model = model(&request.model)?;
        context.audit("model", model.to_string());
        let by = author(&context, request.by)?;
        let record = serving::release(&self.storage, &model, request.expected_sequence, by)
            .await
            .map_err(|error| append(&error))?;
        context.audit("sequence", record.sequence.to_string());
        Ok(Response::new(ReleaseResponse {
            record: Some(serving_record(&record)),
        }))
    }

    async fn drop_candidates(
        &self,
        request: Request<DropCandidatesRequest>,
    ) -> Result<Response<DropCandidatesResponse>, Status> {
        let context = RequestContext::of(request.extensions());
        let request = request.into_inner();
        let model = model(&request.model)?;
        context.audit("model", model.to_string());
        let by = author(&context, request.by)?;
        let expected = request.expected_sequence;
        let record = serving::drop_candidates(&self.storage, &model, expected, by)
            .await
            .map_err(|error| append(&error))?;
        context.audit("sequence", record.sequence.to_string());
        Ok(Response::new(DropCandidatesResponse {
            record: Some(serving_record(&record)),
        }))
    }

    async fn list_serving(
        &self,
        request: Request<ListServingRequest>,
    ) -> Result<Response<ListServingResponse>, Status> {
        let request = request.into_inner();
        let model = model(&request.model)?;
        let mut page = Page::new(page::size(request.page_size)?);
        let before: Option<u64> = page::key("serving", &request.page_token)?;
        let mut sequences = serving::list(&self.storage, &model)
            .await
            .map_err(|error| storage(&error))?;
        sequences.retain(|sequence| before.is_none_or(|before| *sequence < before));
        let oldest = sequences.first().copied();
        let newest = sequences.into_iter().rev().take(page.room());
        let mut records = futures::stream::iter(newest)
            .map(|sequence| listed_record(&self.storage, &model, sequence))
            .buffered(CONCURRENT_READS);
        while let Some(record) = records.next().await {
            let record = record.map_err(|error| storage(&error))?;
            if record.is_some_and(|record| !page.push(record)) {
                break;
            }
        }
        drop(records);
        let next_page_token = match page.items.last() {
            Some(last) if Some(last.sequence) != oldest => {
                page::token("serving", &last.sequence.to_string())
            }
            _ => String::new(),
        };
        Ok(Response::new(ListServingResponse {
            records: page.items,
            next_page_token,
        }))
    }

    async fn report_checkpoint(
        &self,
        request: Request<ReportCheckpointRequest>,
    ) -> Result<Response<ReportCheckpointResponse>, Status> {
        let request = request.into_inner();
        let id = checkpoint_id(&request.checkpoint_id)?;
        let answer = self
            .reporter
            .report(id, request.measure_again)
            .await
            .map_err(|error| report_failed(&error))?;
        Ok(Response::new(ReportCheckpointResponse {
            report: Some(report_card(&answer)),
            from_manifest: answer.from_manifest,
            checkpoint: self.message(answer.manifest).await?,
        }))
    }

    async fn import_checkpoint(
        &self,
        request: Request<Streaming<ImportCheckpointRequest>>,
    ) -> Result<Response<ImportCheckpointResponse>, Status> {
        let context = RequestContext::of(request.extensions());
        let allowance = self.imports.begin(&context).await?;
        let received = import::receive(request.into_inner(), allowance).await?;
        let (import, file, mut allowance) = received;
        let storage = self.storage.clone();
        let catalog = Arc::clone(&self.catalog);
        let store = self.store.clone();
        // A task of its own: it continues when the client disconnects, so that no half-written
        // checkpoint stays.
        let importing = tokio::spawn(async move {
            let imported = crate::import::import(&storage, catalog, import, file).await;
            if let Ok(imported) = &imported {
                allowance.imported();
                serving_events::imported(&store, &imported.manifest).await;
            }
            allowance.settle().await;
            imported
        });
        let imported = importing
            .await
            .unwrap_or(Err(crate::import::ImportError::Panic))
            .map_err(import_failed)?;
        let manifest = &imported.manifest;
        context.audit("checkpoint_id", manifest.id.to_string());
        let accuracy = manifest.metrics.test.map(|it| it.accuracy());
        tracing::info!(checkpoint = %manifest.id, model = %manifest.model, ?accuracy, "checkpoint imported");
        Ok(Response::new(import::response(imported)))
    }
}

/// Sort key of the list: the time of creation, then the id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(i64, CheckpointId);

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl std::str::FromStr for Key {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (time, id) = text.split_once('.').ok_or(())?;
        Ok(Self(
            time.parse().map_err(|_| ())?,
            id.parse().map_err(|_| ())?,
        ))
    }
}
