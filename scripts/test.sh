#!/usr/bin/env bash
# Lint, types, import contracts and all tests, in the environment that scripts/setup.sh makes.
# Arguments go to pytest: bash scripts/test.sh -m 'not slow'
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# One thread for each process: with more, small networks run many times slower.
export OMP_NUM_THREADS=1 MLFLOW_DISABLE_TELEMETRY=true MPLBACKEND=Agg

# step NAME COMMAND...: runs it, says how long it took; when it fails, shows its output and stops.
step() {
  local name=$1 start=$SECONDS output status=0
  shift
  printf '%-18s' "$name"
  output="$("$@" 2>&1 </dev/null)" || status=$?
  if ((status)); then
    printf 'FAILED after %d s\n%s\n' $((SECONDS - start)) "$output"
    exit "$status"
  fi
  printf 'ok %4d s\n' $((SECONDS - start))
}

bash scripts/services.sh
bash scripts/setup.sh --dev
step 'lint' .venv/bin/ruff check .
step 'format' .venv/bin/ruff format --check .
step 'types' .venv/bin/mypy
step 'import contracts' .venv/bin/lint-imports
echo 'tests'
.venv/bin/python -m pytest -q -n 2 --dist worksteal "$@"
