//! Roll-outs, scaling and failures: clients keep a replica that they know, replicas of a revision are
//! on different nodes, and a pod that cannot start says why and is replaced.

use super::each;
use crate::support::manifests::{list, string};
use anyhow::{Context as _, Result, ensure};

/// gRPC clients resolve a name again after this many seconds at the earliest.
const RESOLVED_AGAIN: u64 = 30;

#[test]
fn a_new_pod_is_known_to_clients_before_an_old_one_ends() -> Result<()> {
    each(
        "a_new_pod_is_known_to_clients_before_an_old_one_ends",
        |all| {
            let spec = all.workload("digits-inference")?.spec();
            ensure!(spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0);
            let waits = spec["minReadySeconds"].as_u64().unwrap_or_default();
            ensure!(waits >= RESOLVED_AGAIN, "minReadySeconds is {waits}");
            Ok(())
        },
    )
}

/// A drain of several nodes waits for ready pods (PodDisruptionBudget), not for `minReadySeconds`.
#[test]
fn an_ending_pod_serves_until_its_clients_may_resolve_its_name_again() -> Result<()> {
    /// CoreDNS lets an answer about pods be kept for so long.
    const KEPT: u64 = 5;
    let test = "an_ending_pod_serves_until_its_clients_may_resolve_its_name_again";
    each(test, |all| {
        let container = all.workload("digits-inference")?.container();
        let serves = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64();
        ensure!(serves >= Some(RESOLVED_AGAIN + KEPT), "{serves:?}");
        Ok(())
    })
}

#[test]
fn autoscaled_replicas_get_connections_as_soon_as_names_are_resolved_again() -> Result<()> {
    let test = "autoscaled_replicas_get_connections_as_soon_as_names_are_resolved_again";
    each(test, |all| {
        for scaler in all.of("HorizontalPodAutoscaler") {
            let target = all.workload(string(&scaler["spec"]["scaleTargetRef"]["name"]))?;
            let variables = all.variables(target.container())?;
            let age = &variables["DIGITS_MAX_CONNECTION_AGE"];
            let seconds = age.strip_suffix('s').and_then(|it| it.parse::<u64>().ok());
            ensure!(seconds.is_some_and(|it| it <= RESOLVED_AGAIN), "{age}");
        }
        Ok(())
    })
}

#[test]
fn replicas_of_one_revision_are_spread_over_nodes() -> Result<()> {
    each("replicas_of_one_revision_are_spread_over_nodes", |all| {
        let spread = &all.workload("digits-inference")?.pod()["topologySpreadConstraints"];
        let [spread] = list(spread) else {
            anyhow::bail!("one constraint alone is not outvoted: {spread}");
        };
        ensure!(spread["topologyKey"] == "kubernetes.io/hostname");
        ensure!(spread["maxSkew"] == 1);
        // One node must do.
        ensure!(spread["whenUnsatisfiable"] == "ScheduleAnyway");
        let keys = list(&spread["matchLabelKeys"]);
        ensure!(
            keys.iter().any(|key| key == "pod-template-hash"),
            "{keys:?}"
        );
        Ok(())
    })
}

#[test]
fn a_pod_that_never_became_ready_takes_the_next_template() -> Result<()> {
    each(
        "a_pod_that_never_became_ready_takes_the_next_template",
        |all| {
            for set in all.of("StatefulSet") {
                ensure!(set["spec"]["podManagementPolicy"] == "Parallel", "{set}");
            }
            Ok(())
        },
    )
}

#[test]
fn the_last_lines_of_a_failed_container_are_in_its_status() -> Result<()> {
    each(
        "the_last_lines_of_a_failed_container_are_in_its_status",
        |all| {
            for workload in all.workloads() {
                let policy = &workload.container()["terminationMessagePolicy"];
                ensure!(policy == "FallbackToLogsOnError", "{}", workload.name());
            }
            Ok(())
        },
    )
}

#[test]
fn services_have_both_address_families_where_the_cluster_has_them() -> Result<()> {
    let test = "services_have_both_address_families_where_the_cluster_has_them";
    each(test, |all| {
        for service in all.of("Service") {
            ensure!(service["spec"]["ipFamilyPolicy"] == "PreferDualStack");
        }
        Ok(())
    })
}

#[test]
fn with_an_identity_no_pod_needs_a_secret() -> Result<()> {
    each("with_an_identity_no_pod_needs_a_secret", |all| {
        for workload in all.workloads() {
            let variables = all.variables(workload.container())?;
            let Some(file) = variables.get("AWS_WEB_IDENTITY_TOKEN_FILE") else {
                continue;
            };
            let text = workload.pod().to_string();
            let secret = ["secretKeyRef", "\"secret\":"].map(|of| text.contains(of));
            ensure!(secret == [false; 2], "{} reads a Secret", workload.name());
            let volumes = list(&workload.pod()["volumes"]).iter();
            let mut sources = volumes.flat_map(|it| list(&it["projected"]["sources"]));
            let token = sources.find_map(|it| it.get("serviceAccountToken"));
            let token = token.with_context(|| format!("{}: no token", workload.name()))?;
            ensure!(file.ends_with(&format!("/{}", string(&token["path"]))));
            ensure!(token["audience"] == "sts.amazonaws.com");
        }
        Ok(())
    })
}
