//! Errors of the calls to a cluster.

use super::template::TemplateError;
use http::StatusCode;
use std::error::Error;

/// Why a call to the cluster failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::worker) enum ClusterError {
    #[error("{what}: {reason}")]
    Refused {
        /// What failed, such as "its Job cannot be created".
        what: &'static str,
        /// The answer.
        reason: String,
    },
    #[error("{what}: {reason}")]
    Unanswered {
        /// What failed.
        what: &'static str,
        /// The error and its causes.
        reason: String,
    },
    #[error("nothing is changed in the cluster: {0}")]
    NotPermitted(String),
    #[error("no pod of the StatefulSet {0} of --job-owner was found in the namespace of the Jobs")]
    NoOwner(String),
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl ClusterError {
    /// A map for the errors of a call.
    pub(super) fn of(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |error| match error {
            kube::Error::Api(status) => Self::Refused {
                what,
                reason: format!("{} (status {})", status.message, status.code),
            },
            error => Self::Unanswered {
                what,
                reason: with_causes(&error),
            },
        }
    }

    /// What fails, for whoever reads the job.
    pub(in crate::worker) fn reason(&self) -> &'static str {
        match self {
            Self::Refused { .. } | Self::NoOwner(_) => "the cluster refuses its Job",
            Self::Unanswered { .. } => "the API of the cluster does not answer",
            Self::NotPermitted(_) => "it is not known whether another trainer has taken over",
            Self::Template(_) => "the pod template cannot be used",
        }
    }

    /// Why a Job waits that the cluster does not take, for whoever reads it: the words of the API
    /// where it answers. `None` where the job is not to wait for it.
    pub(in crate::worker) fn waits_for(&self) -> Option<String> {
        match self {
            Self::Refused { .. } | Self::NoOwner(_) => Some(self.to_string()),
            Self::Unanswered { .. } | Self::NotPermitted(_) => Some(self.reason().to_owned()),
            Self::Template(_) => None,
        }
    }
}

/// Whether the API answered with this code.
pub(super) fn is_status(error: &kube::Error, code: StatusCode) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code.as_u16())
}

fn with_causes(error: &kube::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
