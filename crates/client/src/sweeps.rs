//! Calls of the trainer that concern sweeps.

use crate::{
    call::{pages, rpc},
    connection::{Connection, MAX_MESSAGE},
    error::Error,
    trainer::TrainerClient,
};
use digits_proto::v1::{
    CancelSweepRequest, GetSweepRequest, ListSweepsRequest, SubmitSweepRequest, Sweep, SweepSpec,
    sweep_service_client::SweepServiceClient,
};

impl TrainerClient {
    fn sweep_service(&self) -> SweepServiceClient<Connection> {
        SweepServiceClient::new(self.connection.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// Submits a sweep. However often a request id arrives, it makes one sweep.
    ///
    /// # Errors
    /// See [`Error`]; a spec that is refused has the fields in the status's details.
    pub async fn submit_sweep(&self, request_id: String, spec: SweepSpec) -> Result<Sweep, Error> {
        let request = SubmitSweepRequest {
            request_id,
            spec: Some(spec),
        };
        let answer = self
            .calls
            .retried(request, rpc!(self.sweep_service(), submit_sweep))
            .await?;
        self.calls.filled(answer.sweep, "sweep")
    }

    /// One sweep with its trials.
    ///
    /// # Errors
    /// See [`Error`]; `NOT_FOUND` for an unknown id.
    pub async fn sweep(&self, sweep_id: &str) -> Result<Sweep, Error> {
        let request = GetSweepRequest {
            sweep_id: sweep_id.to_owned(),
        };
        let answer = self
            .calls
            .retried(request, rpc!(self.sweep_service(), get_sweep))
            .await?;
        self.calls.filled(answer.sweep, "sweep")
    }

    /// The newest sweeps, at most `limit`, without their trials.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn sweeps(&self, limit: usize) -> Result<Vec<Sweep>, Error> {
        let page = |page_size, page_token| {
            let request = ListSweepsRequest {
                page_size,
                page_token,
            };
            self.calls
                .retried(request, rpc!(self.sweep_service(), list_sweeps))
        };
        pages(limit, page, |page| (page.sweeps, page.next_page_token)).await
    }

    /// Stops a sweep and its jobs; returns it as it is then.
    ///
    /// # Errors
    /// See [`Error`]; `NOT_FOUND` for an unknown id.
    pub async fn cancel_sweep(&self, sweep_id: &str) -> Result<Sweep, Error> {
        let request = CancelSweepRequest {
            sweep_id: sweep_id.to_owned(),
        };
        let answer = self
            .calls
            .retried(request, rpc!(self.sweep_service(), cancel_sweep))
            .await?;
        self.calls.filled(answer.sweep, "sweep")
    }
}
