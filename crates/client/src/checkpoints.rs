//! Calls of the trainer that concern checkpoints and what is served.

use crate::{
    call::{pages, rpc},
    connection::{Connection, MAX_MESSAGE},
    error::Error,
    trainer::TrainerClient,
};
use digits_proto::v1::{
    Checkpoint, DropCandidatesRequest, GetCheckpointRequest, ImportCheckpointRequest,
    ImportCheckpointResponse, ImportHeader, ListCheckpointsRequest, ListServingRequest,
    PromoteRequest, ReleaseRequest, ReportCheckpointRequest, ReportCheckpointResponse,
    RollbackRequest, ServingRecord, checkpoint_service_client::CheckpointServiceClient,
    import_checkpoint_request::Part,
};

/// Bytes of a file that one message of an import carries.
const PIECE: usize = 256 << 10;

impl TrainerClient {
    fn checkpoint_service(&self) -> CheckpointServiceClient<Connection> {
        CheckpointServiceClient::new(self.connection.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// One checkpoint.
    ///
    /// # Errors
    /// See [`Error`]; `NOT_FOUND` for an unknown id.
    pub async fn checkpoint(&self, checkpoint_id: &str) -> Result<Checkpoint, Error> {
        let request = GetCheckpointRequest {
            checkpoint_id: checkpoint_id.to_owned(),
        };
        let answer = self
            .calls
            .retried(request, rpc!(self.checkpoint_service(), get_checkpoint))
            .await?;
        self.calls.filled(answer.checkpoint, "checkpoint")
    }

    /// The newest checkpoints that match, at most `limit`; the request's page is not used.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn checkpoints(
        &self,
        filter: ListCheckpointsRequest,
        limit: usize,
    ) -> Result<Vec<Checkpoint>, Error> {
        let page = |page_size, page_token| {
            let request = ListCheckpointsRequest {
                page_size,
                page_token,
                ..filter.clone()
            };
            self.calls
                .retried(request, rpc!(self.checkpoint_service(), list_checkpoints))
        };
        pages(limit, page, |page| (page.checkpoints, page.next_page_token)).await
    }

    /// The newest serving records of a model, at most `limit`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn serving_records(
        &self,
        model: &str,
        limit: usize,
    ) -> Result<Vec<ServingRecord>, Error> {
        let page = |page_size, page_token| {
            let request = ListServingRequest {
                model: model.to_owned(),
                page_size,
                page_token,
            };
            self.calls
                .retried(request, rpc!(self.checkpoint_service(), list_serving))
        };
        pages(limit, page, |page| (page.records, page.next_page_token)).await
    }

    /// Serves a checkpoint; returns the new record.
    ///
    /// # Errors
    /// See [`Error`]; `ABORTED` when another record is the newest.
    pub async fn promote(&self, request: PromoteRequest) -> Result<ServingRecord, Error> {
        let answer = self
            .calls
            .once(request, rpc!(self.checkpoint_service(), promote))
            .await?;
        self.calls.filled(answer.record, "record")
    }

    /// Ends canary and shadow; returns the new record.
    ///
    /// # Errors
    /// As [`Self::promote`].
    pub async fn drop_candidates(
        &self,
        request: DropCandidatesRequest,
    ) -> Result<ServingRecord, Error> {
        let answer = self
            .calls
            .once(request, rpc!(self.checkpoint_service(), drop_candidates))
            .await?;
        self.calls.filled(answer.record, "record")
    }

    /// Serves what an earlier record named; returns the new record.
    ///
    /// # Errors
    /// As [`Self::promote`].
    pub async fn rollback(&self, request: RollbackRequest) -> Result<ServingRecord, Error> {
        let answer = self
            .calls
            .once(request, rpc!(self.checkpoint_service(), rollback))
            .await?;
        self.calls.filled(answer.record, "record")
    }

    /// Lifts a hold; returns the new record.
    ///
    /// # Errors
    /// As [`Self::promote`].
    pub async fn release(&self, request: ReleaseRequest) -> Result<ServingRecord, Error> {
        let answer = self
            .calls
            .once(request, rpc!(self.checkpoint_service(), release))
            .await?;
        self.calls.filled(answer.record, "record")
    }

    /// The report card of a checkpoint. Measuring one takes minutes: give the call a longer
    /// timeout.
    ///
    /// # Errors
    /// See [`Error`]; `RESOURCE_EXHAUSTED` while another one is measured.
    pub async fn report(
        &self,
        checkpoint_id: &str,
        measure_again: bool,
    ) -> Result<ReportCheckpointResponse, Error> {
        let request = ReportCheckpointRequest {
            checkpoint_id: checkpoint_id.to_owned(),
            measure_again,
        };
        self.calls
            .once(request, rpc!(self.checkpoint_service(), report_checkpoint))
            .await
    }

    /// Makes a checkpoint of a PyTorch state dict, a safetensors file; the response has a
    /// checkpoint.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn import(
        &self,
        header: ImportHeader,
        file: &[u8],
    ) -> Result<ImportCheckpointResponse, Error> {
        let pieces = file.chunks(PIECE).map(|piece| Part::Piece(piece.to_vec()));
        let messages: Vec<_> = std::iter::once(Part::Header(header))
            .chain(pieces)
            .map(|part| ImportCheckpointRequest { part: Some(part) })
            .collect();
        let answer = self
            .calls
            .open(
                futures::stream::iter(messages),
                rpc!(self.checkpoint_service(), import_checkpoint),
            )
            .await?;
        let checkpoint = self.calls.filled(answer.checkpoint, "checkpoint")?;
        Ok(ImportCheckpointResponse {
            checkpoint: Some(checkpoint),
            ..answer
        })
    }
}
