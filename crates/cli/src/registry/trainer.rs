//! By way of the trainer's `CheckpointService`.

use crate::{
    credentials::Connection,
    error::{Error, Service},
};
use digits_proto::v1::{
    Checkpoint, DropCandidatesRequest, GetCheckpointRequest, ListCheckpointsRequest,
    ListServingRequest, PromoteRequest, ReleaseRequest, RollbackRequest, ServingRecord,
    checkpoint_service_client::CheckpointServiceClient,
};

/// Entries of a page.
const PAGE: usize = 200;

/// The trainer.
pub struct ByTrainer {
    client: CheckpointServiceClient<Connection>,
}

/// The content of an answer that the trainer always fills.
fn filled<T>(content: Option<T>, name: &str) -> Result<T, Error> {
    content.ok_or_else(|| Error::Answer {
        service: Service::Trainer,
        reason: format!("no {name} in it"),
    })
}

impl ByTrainer {
    pub(super) fn new(client: CheckpointServiceClient<Connection>) -> Self {
        Self { client }
    }

    fn client(&self) -> CheckpointServiceClient<Connection> {
        self.client.clone()
    }

    pub(super) async fn checkpoints(
        &self,
        request: ListCheckpointsRequest,
        limit: usize,
    ) -> Result<Vec<Checkpoint>, Error> {
        let mut checkpoints = Vec::new();
        let mut page_token = String::new();
        while checkpoints.len() < limit {
            let request = ListCheckpointsRequest {
                page_size: (limit - checkpoints.len()).min(PAGE) as u32,
                page_token,
                ..request.clone()
            };
            let answer = self.client().list_checkpoints(request).await;
            let page = answer.map_err(Error::trainer)?.into_inner();
            checkpoints.extend(page.checkpoints);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        Ok(checkpoints)
    }

    pub(super) async fn checkpoint(&self, checkpoint_id: String) -> Result<Checkpoint, Error> {
        let request = GetCheckpointRequest { checkpoint_id };
        let answer = self.client().get_checkpoint(request).await;
        filled(
            answer.map_err(Error::trainer)?.into_inner().checkpoint,
            "checkpoint",
        )
    }

    pub(super) async fn records(
        &self,
        model: &str,
        limit: usize,
    ) -> Result<Vec<ServingRecord>, Error> {
        let mut records = Vec::new();
        let mut page_token = String::new();
        while records.len() < limit {
            let request = ListServingRequest {
                model: model.to_owned(),
                page_size: (limit - records.len()).min(PAGE) as u32,
                page_token,
            };
            let answer = self.client().list_serving(request).await;
            let page = answer.map_err(Error::trainer)?.into_inner();
            records.extend(page.records);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        Ok(records)
    }

    pub(super) async fn newest(&self, model: &str) -> Result<u64, Error> {
        let newest = self.records(model, 1).await?;
        Ok(newest.first().map_or(0, |record| record.sequence))
    }

    pub(super) async fn promote(&self, request: PromoteRequest) -> Result<ServingRecord, Error> {
        let answer = self.client().promote(request).await;
        filled(
            answer.map_err(Error::trainer)?.into_inner().record,
            "record",
        )
    }

    pub(super) async fn drop_candidates(
        &self,
        request: DropCandidatesRequest,
    ) -> Result<ServingRecord, Error> {
        let answer = self.client().drop_candidates(request).await;
        filled(
            answer.map_err(Error::trainer)?.into_inner().record,
            "record",
        )
    }

    pub(super) async fn rollback(&self, request: RollbackRequest) -> Result<ServingRecord, Error> {
        let answer = self.client().rollback(request).await;
        filled(
            answer.map_err(Error::trainer)?.into_inner().record,
            "record",
        )
    }

    pub(super) async fn release(&self, request: ReleaseRequest) -> Result<ServingRecord, Error> {
        let answer = self.client().release(request).await;
        filled(
            answer.map_err(Error::trainer)?.into_inner().record,
            "record",
        )
    }
}
