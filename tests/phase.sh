#!/usr/bin/env bash
# Runs a command as a phase of a build: `phase.sh NAME COMMAND…` prints the name before and the time after.
# With DIGITS_TIMES the seconds and the name are appended to that file too.
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
