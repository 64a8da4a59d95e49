//! Errors of the calls to a cluster.

use super::template::TemplateError;
use http::StatusCode;

/// Why a call to the cluster failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::worker) enum ClusterError {
    #[error("{what}: {source}")]
    Call {
        /// What failed, such as "its Job cannot be created".
        what: &'static str,
        source: Box<kube::Error>,
    },
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl ClusterError {
    /// A map for the errors of a call.
    pub(super) fn of(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Call {
            what,
            source: Box::new(source),
        }
    }

    /// What fails, for whoever reads the job.
    pub(in crate::worker) fn reason(&self) -> &'static str {
        match self {
            Self::Call { source, .. } if matches!(&**source, kube::Error::Api(_)) => {
                "the cluster refuses its Job"
            }
            Self::Call { .. } => "the cluster's API does not answer",
            Self::Template(_) => "the pod template cannot be used",
        }
    }
}

/// Whether the API answered with this code.
pub(super) fn is_status(error: &kube::Error, code: StatusCode) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code.as_u16())
}
