#!/usr/bin/env bash
# Holds deploy/ against schemas and linters. Usage: deploy.sh KUBECTL VALIDATORS_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
kubectl=$1 bin=$2
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
passed() { printf 'deploy passed: %s\n' "$*"; }

"$bin/hadolint" deploy/docker/*.Dockerfile
passed 'hadolint'
"$bin/check-jsonschema" --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml
passed 'the schema of compose'

# The oldest that has preStop.sleep by default, and the newest that the validator knows. Removed APIs and unknown kinds only
# warn, so a warning fails. Kinds of the Prometheus Operator have no schema here: promtool reads the rules.
operator='kind (PodMonitor|PrometheusRule) with api version monitoring.coreos.com/v1'
for folder in base overlays/{local,gpu,s3,full}; do
    manifests=$built/${folder##*/}.yaml
    "$kubectl" kustomize "deploy/kubernetes/$folder" >"$manifests"
    for version in 1.30.0 1.37.0; do
        result=0
        "$bin/kubernetes-validate" --strict -k "$version" "$manifests" >"$built/told" 2>&1 || result=$?
        if [[ $result != 0 ]] || grep WARN "$built/told" | grep -qvE "$operator"; then
            cat "$built/told" >&2
            exit 1
        fi
    done
    passed "$folder, by Kubernetes 1.30 and 1.37"
done

# What is applied; the base, whose images have no tag yet, is not. PYTHONWARNINGS: of checkov's own modules.
rm "$built/base.yaml" "$built/told"
PYTHONWARNINGS=ignore "$bin/checkov" --config-file tests/checkov.yaml --directory "$built"
passed "checkov's policies for Kubernetes"

# Kustomize reads no file outside of its folder, so the rules stand twice.
rules=deploy/kubernetes/components/monitoring/rules.yaml
made=$(for file in deploy/prometheus/{rules,alerts}.yml; do sed '1,/^groups:$/d; s/^./  &/' "$file"; done)
[[ $made == "$(sed '1,/^  groups:$/d' "$rules")" ]] || { echo "$rules is not what deploy/prometheus says" >&2; exit 1; }
passed "$rules is the rules of Prometheus"
