//! SweepService: accepts, lists and cancels sweeps.

use super::{
    errors::{invalid_field, store as store_status, submit as submit_status},
    page::{self, Page},
    permissions::submitting_client,
    sweep_messages::sweep_message,
};
use crate::{
    store::Store,
    sweep::{InvalidSweepId, SweepId, Sweeper},
};
use digits_proto::v1::{
    CancelSweepRequest, CancelSweepResponse, GetSweepRequest, GetSweepResponse, ListSweepsRequest,
    ListSweepsResponse, SubmitSweepRequest, SubmitSweepResponse,
    sweep_service_server::{SweepService, SweepServiceServer},
};
use digits_server::RequestContext;
use tonic::{Request, Response, Status};

/// Sweeps that are read at once, because a page may end early.
const MAX_READ_SWEEPS: u32 = 50;

/// The service.
pub struct Sweeps(pub Sweeper);

impl Sweeps {
    /// The tonic service; larger requests than `max_message_bytes` are refused.
    #[must_use]
    pub fn into_server(self, max_message_bytes: usize) -> SweepServiceServer<Self> {
        digits_server::compressed!(SweepServiceServer::new(self))
            .max_decoding_message_size(max_message_bytes)
    }

    fn store(&self) -> &Store {
        &self.0.submitter.store
    }
}

fn sweep_id(text: &str) -> Result<SweepId, Status> {
    text.parse()
        .map_err(|error: InvalidSweepId| invalid_field("sweep_id", error.to_string()))
}

#[tonic::async_trait]
impl SweepService for Sweeps {
    async fn submit_sweep(
        &self,
        request: Request<SubmitSweepRequest>,
    ) -> Result<Response<SubmitSweepResponse>, Status> {
        let context = RequestContext::of(request.extensions());
        let SubmitSweepRequest { request_id, spec } = request.into_inner();
        let client = submitting_client(&context);
        let message = spec.unwrap_or_default().into();
        let accepted = self.0.submit(request_id, message, client).await;
        let sweep = accepted.map_err(submit_status)?;
        context.audit("sweep_id", sweep.id.to_string());
        Ok(Response::new(SubmitSweepResponse {
            sweep: Some(sweep_message(&sweep)),
        }))
    }

    async fn get_sweep(
        &self,
        request: Request<GetSweepRequest>,
    ) -> Result<Response<GetSweepResponse>, Status> {
        let id = request.into_inner().sweep_id;
        let sweep = self.store().sweep(sweep_id(&id)?).await;
        let sweep = sweep.map_err(|error| store_status(error, &id))?;
        Ok(Response::new(GetSweepResponse {
            sweep: Some(sweep_message(&sweep)),
        }))
    }

    async fn list_sweeps(
        &self,
        request: Request<ListSweepsRequest>,
    ) -> Result<Response<ListSweepsResponse>, Status> {
        let request = request.into_inner();
        let mut before: Option<i64> = page::key("sweeps", &request.page_token)?;
        let mut page = Page::new(page::size(request.page_size)?);
        let is_last = loop {
            // One more shows whether there is another page.
            let limit = (page.room() as u32 + 1).min(MAX_READ_SWEEPS);
            let sweeps = self.store().sweeps(before, limit).await;
            let sweeps = sweeps.map_err(|error| store_status(error, ""))?;
            let fitting = sweeps
                .iter()
                .take_while(|sweep| page.push(sweep_message(sweep)));
            let Some(last) = fitting.last() else {
                break sweeps.is_empty();
            };
            before = Some(last.number);
            if sweeps.last().map(|sweep| sweep.number) != before {
                break false;
            }
        };
        let next_page_token = match before {
            Some(last) if !is_last => page::token("sweeps", &last.to_string()),
            _ => String::new(),
        };
        Ok(Response::new(ListSweepsResponse {
            sweeps: page.items,
            next_page_token,
        }))
    }

    async fn cancel_sweep(
        &self,
        request: Request<CancelSweepRequest>,
    ) -> Result<Response<CancelSweepResponse>, Status> {
        let context = RequestContext::of(request.extensions());
        let id = request.into_inner().sweep_id;
        let parsed = sweep_id(&id)?;
        context.audit("sweep_id", &id);
        let sweep = self.store().cancel_sweep(parsed).await;
        let sweep = sweep.map_err(|error| store_status(error, &id))?;
        self.0.wake.notify_one();
        Ok(Response::new(CancelSweepResponse {
            sweep: Some(sweep_message(&sweep)),
        }))
    }
}
