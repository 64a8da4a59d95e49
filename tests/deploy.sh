#!/usr/bin/env bash
# Checks deploy/ with schemas and linters. Usage: deploy.sh KUBECTL VALIDATORS_DIR NODE_MODULES
set -euo pipefail
cd "$(dirname "$0")/.."
kubectl=$1 bin=$2 modules=$3
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
passed() { printf 'deploy passed: %s\n' "$*"; }

"$bin/hadolint" deploy/docker/*.Dockerfile
passed 'hadolint'
"$bin/check-jsonschema" --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml
passed 'the schema of compose'
node tests/grafana.mjs "$modules"
passed "dashboards, by Grafana's own types"

# Custom resources: tests/schemas/ has their schemas, named like kustomize's output files.
# Everything else is built into Kubernetes. `operators` prints the custom resources of a folder,
# `own` the other files.
operators() { for schema in tests/schemas/*.json; do ls "$1/$(basename "$schema" .json)"_*.yaml 2>/dev/null || true; done; }
own() { comm -23 <(ls "$1"/*.yaml | sort) <(operators "$1" | sort); }
by_its_schema() {
    local kind=${1##*/}
    "$bin/check-jsonschema" --schemafile "tests/schemas/${kind%_*}.json" "$1" >"$built/report" 2>&1
}

# The oldest version with preStop.sleep by default, and the newest that the validator knows. Removed
# APIs and unknown kinds only warn, so a warning is a failure.
for folder in base overlays/{local,gpu,gpu-jobs,s3,s3-jobs,executor,full} examples/{aks,eks,gke,minio}; do
    made=$built/${folder##*/}
    mkdir "$made"
    "$kubectl" kustomize "deploy/kubernetes/$folder" --output "$made"
    for version in 1.30.0 1.37.0; do
        result=0
        own "$made" | xargs "$bin/kubernetes-validate" --strict -k "$version" >"$built/report" 2>&1 || result=$?
        if [[ $result != 0 ]] || grep -q WARN "$built/report"; then
            grep -v '^INFO' "$built/report" >&2
            exit 1
        fi
    done
    passed "$folder, by Kubernetes 1.30 and 1.37"
    for file in $(operators "$made"); do by_its_schema "$file" || { cat "$built/report" >&2; exit 1; }; done
done
[[ $(operators "$built/full" | wc -l) == 3 ]] || { echo 'overlays/full must have two monitors and one rule' >&2; exit 1; }
passed 'monitors and rules, by the schemas of their operator'

# The schemas detect an unknown field at each depth.
mkdir "$built/wrong"
for wrong in podmonitor_digits-trainer:podMetricsEndpoints podmonitor_digits-trainer:jobLabel podmonitor_digits-trainer:interval \
    prometheusrule_digits:groups prometheusrule_digits:rules prometheusrule_digits:expr prometheusrule_digits:for; do
    name=monitoring.coreos.com_v1_${wrong%:*}.yaml field=${wrong#*:}
    sed -E "s/^([ -]*)$field:/\1x$field:/" "$built/full/$name" >"$built/wrong/$name"
    if by_its_schema "$built/wrong/$name" || ! grep -q "'x$field' was unexpected" "$built/report"; then
        echo "the schema of ${wrong%:*} takes a field x$field" >&2
        exit 1
    fi
done
passed 'unknown fields of monitors and rules are detected'

# The overlays; not the base, whose images have no tag yet. PYTHONWARNINGS hides warnings of
# checkov's own modules.
rm -r "$built"/{base,wrong,report}
PYTHONWARNINGS=ignore "$bin/checkov" --config-file tests/checkov.yaml --directory "$built"
passed "checkov's policies for Kubernetes"

# Kustomize reads no file outside its folder, so the rules exist twice.
rules=deploy/kubernetes/components/monitoring/rules.yaml
made=$(for file in deploy/prometheus/{rules,alerts}.yml; do sed '1,/^groups:$/d; s/^./  &/' "$file"; done)
[[ $made == "$(sed '1,/^  groups:$/d' "$rules")" ]] || { echo "$rules differs from deploy/prometheus/{rules,alerts}.yml" >&2; exit 1; }
passed "$rules equals the rules of Prometheus"
