//! Roles that open each method. A call that would let a job or an import change what serves needs
//! `promote` as well, which its handler checks.

use crate::submission::{Promotions, SubmittingClient};
use digits_server::{MethodRoles, RequestContext, Role, Roles};

const TRAIN: Roles = Roles::of(&[Role::Train]);
const PROMOTE: Roles = Roles::of(&[Role::Promote]);
const READ: Roles = Roles::of(&[Role::Watch, Role::Train, Role::Promote]);

/// By the path of the method.
pub const ROLES: MethodRoles = &[
    ("/digits.v1.TrainingService/SubmitJob", TRAIN),
    ("/digits.v1.TrainingService/CancelJob", TRAIN),
    ("/digits.v1.TrainingService/GetJob", READ),
    ("/digits.v1.TrainingService/ListJobs", READ),
    ("/digits.v1.TrainingService/WatchJob", READ),
    ("/digits.v1.TrainingService/GetHistory", READ),
    ("/digits.v1.TrainingService/ListPresets", READ),
    ("/digits.v1.TrainingService/ListDatasets", READ),
    ("/digits.v1.SweepService/SubmitSweep", TRAIN),
    ("/digits.v1.SweepService/CancelSweep", TRAIN),
    ("/digits.v1.SweepService/GetSweep", READ),
    ("/digits.v1.SweepService/ListSweeps", READ),
    ("/digits.v1.CheckpointService/ImportCheckpoint", TRAIN),
    ("/digits.v1.CheckpointService/Promote", PROMOTE),
    ("/digits.v1.CheckpointService/Rollback", PROMOTE),
    ("/digits.v1.CheckpointService/Release", PROMOTE),
    ("/digits.v1.CheckpointService/DropCandidates", PROMOTE),
    ("/digits.v1.CheckpointService/ListCheckpoints", READ),
    ("/digits.v1.CheckpointService/GetCheckpoint", READ),
    ("/digits.v1.CheckpointService/ListServing", READ),
    ("/digits.v1.CheckpointService/ReportCheckpoint", READ),
];

/// Who submits a job by a request, and whether its jobs may promote.
pub(super) fn submitting_client(context: &RequestContext) -> SubmittingClient {
    SubmittingClient {
        name: context.client_name().to_owned(),
        promotions: match &context.client {
            Some(client) if !client.has_any(PROMOTE) => Promotions::Denied,
            _ => Promotions::Allowed,
        },
    }
}
