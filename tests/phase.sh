#!/usr/bin/env bash
# Runs a command as a build phase: `phase.sh NAME COMMAND…` prints its name before and its duration
# after. With DIGITS_TIMES, seconds and name are also appended to that file.
set -euo pipefail
name=$1
shift
printf '\033[1m==>\033[0m %s\n' "$name"
begun=$(date +%s)
code=0
"$@" || code=$?
took=$(($(date +%s) - begun))
printf '\033[1m==>\033[0m %s: %d min %02d s\n' "$name" $((took / 60)) $((took % 60))
if [[ -n ${DIGITS_TIMES:-} ]]; then printf '%d\t%s\n' "$took" "$name" >>"$DIGITS_TIMES"; fi
exit "$code"
