//! The flags of `--executor kubernetes`.

use crate::worker::{JobSettings, Template};
use clap::Args;
use digits_service::{Error, parse_age};
use std::time::Duration;

/// The flags of `--executor kubernetes`.
#[derive(Clone, Debug, Args)]
pub struct KubernetesFlags {
    /// With --executor kubernetes: YAML file with an object that has a pod template, such as a
    /// PodTemplate, or cronjob/NAME for that of a CronJob in the cluster. Its first container runs
    /// `digits-trainer work`; an image that it leaves out is that of --job-owner.
    #[arg(long, env = "DIGITS_POD_TEMPLATE", value_name = "FILE")]
    pub pod_template: Option<Template>,
    /// The same for jobs on a GPU. Without it, all jobs train on the CPU.
    #[arg(long, env = "DIGITS_GPU_POD_TEMPLATE", value_name = "FILE")]
    pub gpu_pod_template: Option<Template>,
    /// With --executor kubernetes: namespace of the Jobs. Default: that of the trainer's pod, or of
    /// its kubeconfig.
    #[arg(long, env = "DIGITS_JOB_NAMESPACE", value_name = "NAME")]
    pub job_namespace: Option<String>,
    /// With --executor kubernetes: StatefulSet of the trainer, which then owns the Jobs: they are
    /// deleted with it. Without it, Jobs have no owner.
    #[arg(long, env = "DIGITS_JOB_OWNER", value_name = "NAME")]
    pub job_owner: Option<String>,
    /// With --executor kubernetes: local queue of Kueue that admits the Jobs, which are created
    /// suspended. Without it, Jobs start at once.
    #[arg(long, env = "DIGITS_JOB_QUEUE", value_name = "NAME")]
    pub job_queue: Option<String>,
    /// With --executor kubernetes: time for which the cluster keeps a Job, and its log, once its
    /// outcome is recorded, such as 1h.
    #[arg(long, env = "DIGITS_JOB_TTL", default_value = "1h", value_parser = parse_age)]
    pub job_ttl: Duration,
}

impl Default for KubernetesFlags {
    fn default() -> Self {
        Self {
            pod_template: None,
            gpu_pod_template: None,
            job_namespace: None,
            job_owner: None,
            job_queue: None,
            job_ttl: Duration::from_hours(1),
        }
    }
}

impl KubernetesFlags {
    /// GPUs of the machine that a job runs on.
    pub(crate) fn gpus(&self) -> usize {
        usize::from(set(&self.gpu_pod_template).is_some())
    }

    /// How the Jobs of workers are made.
    ///
    /// # Errors
    /// [`Error::Config`] for a template that is missing or cannot be used.
    pub(crate) fn settings(&self) -> Result<JobSettings, Error> {
        let gpu_template = set(&self.gpu_pod_template);
        let template = set(&self.pod_template).ok_or_else(|| {
            Error::Config(
                "--executor kubernetes needs --pod-template: a file, or cronjob/NAME".to_owned(),
            )
        })?;
        for (flag, template) in [
            ("--pod-template", Some(&template)),
            ("--gpu-pod-template", gpu_template.as_ref()),
        ] {
            let checked = template.map_or(Ok(()), Template::check);
            checked.map_err(|error| Error::Config(format!("{flag}: {error}")))?;
        }
        let named = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
        Ok(JobSettings {
            template,
            gpu_template,
            namespace: named(&self.job_namespace),
            owner: named(&self.job_owner),
            queue: named(&self.job_queue),
            time_to_live: self.job_ttl,
        })
    }
}

/// A template; an empty variable of the environment names none.
fn set(template: &Option<Template>) -> Option<Template> {
    let named = template.as_ref().filter(|it| !it.to_string().is_empty());
    named.cloned()
}
