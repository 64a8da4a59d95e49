#!/usr/bin/env bash
# Holds deploy/ against schemas and linters. Usage: deploy.sh KUBECTL VALIDATORS_DIR NODE_MODULES
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

# Kinds of operators: tests/schemas/ has what deploy/ uses of them, each file named as kustomize names what it writes. All that has no
# schema there is Kubernetes' own. Prints the files of a folder that are (`operators`) or are not (`own`).
operators() { for schema in tests/schemas/*.json; do ls "$1/$(basename "$schema" .json)"_*.yaml 2>/dev/null || true; done; }
own() { comm -23 <(ls "$1"/*.yaml | sort) <(operators "$1" | sort); }
by_its_schema() {
    local kind=${1##*/}
    "$bin/check-jsonschema" --schemafile "tests/schemas/${kind%_*}.json" "$1" >"$built/told" 2>&1
}

# The oldest that has preStop.sleep by default, and the newest that the validator knows. Removed APIs and unknown kinds only
# warn, so a warning fails.
for folder in base overlays/{local,gpu,gpu-jobs,s3,s3-jobs,full}; do
    made=$built/${folder##*/}
    mkdir "$made"
    "$kubectl" kustomize "deploy/kubernetes/$folder" --output "$made"
    for version in 1.30.0 1.37.0; do
        result=0
        own "$made" | xargs "$bin/kubernetes-validate" --strict -k "$version" >"$built/told" 2>&1 || result=$?
        if [[ $result != 0 ]] || grep -q WARN "$built/told"; then
            grep -v '^INFO' "$built/told" >&2
            exit 1
        fi
    done
    passed "$folder, by Kubernetes 1.30 and 1.37"
    for file in $(operators "$made"); do by_its_schema "$file" || { cat "$built/told" >&2; exit 1; }; done
done
[[ $(operators "$built/full" | wc -l) == 3 ]] || { echo 'overlays/full has no monitors and rules any more' >&2; exit 1; }
passed 'monitors and rules, by the schemas of their operator'

# The schemas see what they are for: a field that does not exist, at each depth.
mkdir "$built/wrong"
for wrong in podmonitor_digits-trainer:podMetricsEndpoints podmonitor_digits-trainer:jobLabel podmonitor_digits-trainer:interval \
    prometheusrule_digits:groups prometheusrule_digits:rules prometheusrule_digits:expr prometheusrule_digits:for; do
    name=monitoring.coreos.com_v1_${wrong%:*}.yaml field=${wrong#*:}
    sed -E "s/^([ -]*)$field:/\1x$field:/" "$built/full/$name" >"$built/wrong/$name"
    if by_its_schema "$built/wrong/$name" || ! grep -q "'x$field' was unexpected" "$built/told"; then
        echo "the schema of ${wrong%:*} takes a field x$field" >&2
        exit 1
    fi
done
passed 'fields that monitors and rules do not have are refused'

# What is applied; the base, whose images have no tag yet, is not. PYTHONWARNINGS: of checkov's own modules.
rm -r "$built"/{base,wrong,told}
PYTHONWARNINGS=ignore "$bin/checkov" --config-file tests/checkov.yaml --directory "$built"
passed "checkov's policies for Kubernetes"

# Kustomize reads no file outside of its folder, so the rules stand twice.
rules=deploy/kubernetes/components/monitoring/rules.yaml
made=$(for file in deploy/prometheus/{rules,alerts}.yml; do sed '1,/^groups:$/d; s/^./  &/' "$file"; done)
[[ $made == "$(sed '1,/^  groups:$/d' "$rules")" ]] || { echo "$rules is not what deploy/prometheus says" >&2; exit 1; }
passed "$rules is the rules of Prometheus"
