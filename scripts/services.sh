#!/usr/bin/env bash
# Installs the servers and programs that tests start themselves, where they are missing and one may install them:
# PostgreSQL, Java for Spark, a browser for the report. Tests that lack one are skipped and say so.
set -euo pipefail

missing=()
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null || missing+=(postgresql)
command -v java >/dev/null || missing+=(openjdk-17-jre-headless)
command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
((${#missing[@]})) || exit 0

if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
  echo "services: missing ${missing[*]}; tests that need them are skipped" >&2
  exit 0
fi
echo "services: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log="$(mktemp)"
apt-get update -qq >"$log" 2>&1 </dev/null || true
for package in "${missing[@]}"; do
  apt-get install -y -qq --no-install-recommends "$package" >>"$log" 2>&1 </dev/null ||
    { echo "services: $package could not be installed; tests that need it are skipped" >&2; tail -n 5 "$log" >&2; }
done
rm -f "$log"
