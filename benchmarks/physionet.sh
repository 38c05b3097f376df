#!/usr/bin/env bash
# Mortality and ICU unit on PhysioNet 2012 (set a): three settings of DBSE, three training seeds each.
# Needs the data (SEQDIS_DATA, see `seqdis data path`). About an hour and a half on two cores, most of it the ten copies;
# killed? run it again: finished runs are reused, a broken one goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
seqdis="${SEQDIS:-.venv/bin/seqdis}"

study() {  # name, then the settings of the fit
  local name=$1 runs=()
  shift
  for seed in 0 1 2; do
    "$seqdis" fit dbse physionet --out "runs/physionet/$name-$seed" --training.seed "$seed" "$@"
    runs+=("runs/physionet/$name-$seed")
  done
  "$seqdis" evaluate "${runs[@]}" mortality icu-unit --out "benchmarks/results/physionet-$name.md"
}

study paper --published mortality
study reference-1-copy --published mortality --preset reference --copies 1
study reference-10-copies --published mortality --preset reference
