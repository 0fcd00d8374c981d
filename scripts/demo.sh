#!/usr/bin/env bash
# The whole way on a real log: install, train on CDNOW, compare with every baseline on the held-out 273 days, record
# and register in a local MLflow, score the base as of the log's end, make the report. Everything lies in demo/.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."

export MLFLOW_DISABLE_TELEMETRY=true
bash scripts/setup.sh
mkdir -p demo
uri="sqlite:///$PWD/demo/mlflow.db"

echo
echo "== 1. Train on the first nine months of CDNOW, compare on the nine months after them =="
.venv/bin/seqclv train --config configs/cdnow.yaml --tracking-uri "$uri" --out demo/training

echo
echo "== 2. Score every customer as of the log's end with the champion =="
.venv/bin/seqclv score --model models:/cdnow@champion --tracking-uri "$uri" --transactions dataset:cdnow \
  --cutoff 1998-07-01 --horizons 30 90 365 --out demo/forecasts.parquet

echo
echo "== 3. One page for people: who, how much, how sure, what to do =="
.venv/bin/seqclv report --model models:/cdnow@champion --tracking-uri "$uri" --transactions dataset:cdnow \
  --cutoff 1998-07-01 --margin 0.3 --currency USD --out demo/report.html

cat <<END

== Where everything lies ==
demo/forecasts.parquet      a row per customer and horizon: expected purchases and spend, quantiles, churn
demo/report.html            the report: open it in a browser
demo/training/bundle        the model: bundle.json, weights.safetensors, card.md
demo/training/plots         forecast against what happened
demo/training/metrics.json  the comparison above, in full
demo/mlflow.db              runs and registered models; to browse them:
                            .venv/bin/mlflow ui --backend-store-uri $uri
END
