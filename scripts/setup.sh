#!/usr/bin/env bash
# Makes .venv in the repository root and installs seqclv there, in the exact versions of constraints.txt.
#
#   bash scripts/setup.sh          the program and the public transaction logs
#   bash scripts/setup.sh --dev    and the tools that the tests need
#
# Needs Python 3.11 or newer and nothing else. Run it as often as you like: what is installed stays, and when
# nothing has changed it ends at once. PYTHON=/path/to/python chooses the interpreter. Pip's own settings hold: where
# they name a source that has a CPU-only build of torch, that smaller build is taken.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."

readonly venv_python=.venv/bin/python stamp=.venv/seqclv-setup log=.venv/seqclv-setup.log

extras=datasets
case "${1-}" in
  "") ;;
  --dev) extras=dev ;; # dev holds datasets
  *) echo "setup: --dev is the only option, found '$1'" >&2; exit 2 ;;
esac

say() { echo "setup: $*"; }

# is_suitable PYTHON: it runs and is new enough.
is_suitable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# An environment of its own: without pyvenv.cfg, python in .venv is the system's, and so would be what pip changes.
is_environment() {
  is_suitable "$venv_python" && "$venv_python" -c 'import pip, sys; sys.exit(sys.prefix == sys.base_prefix)' 2>/dev/null
}

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3 python3.12 python3.13 python; do
    if is_suitable "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  echo "setup: seqclv needs Python 3.11 or newer, and none was found as python3.11 or python3." >&2
  echo "       Install it, or name it: PYTHON=/path/to/python bash scripts/setup.sh" >&2
  return 2
}

# Debian and Ubuntu ship Python without the part that makes environments.
ensure_venv_module() {
  "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
  local package
  package="$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
    say "installing $package"
    { apt-get install -y -qq "$package" || { apt-get update -qq && apt-get install -y -qq "$package"; }; } \
      >/dev/null 2>&1 </dev/null || true
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
  fi
  echo "setup: this Python cannot make environments: its module 'venv' is incomplete." >&2
  echo "       Install it (Debian, Ubuntu: sudo apt-get install $package) and run this again." >&2
  return 2
}

# What the environment was made from: the requirements and the place, since its programs hold their own path.
fingerprint() {
  local hash
  hash="$("$venv_python" -c 'import hashlib, sys
print(hashlib.sha256(b"".join(open(name, "rb").read() for name in sys.argv[1:])).hexdigest())' \
    pyproject.toml constraints.txt)"
  echo "$hash $PWD"
}

# pip_install ARGUMENT...: quiet, but for the end of its log when it fails.
pip_install() {
  PIP_REQUIRE_VIRTUALENV=1 "$venv_python" -m pip install --disable-pip-version-check --no-input \
    --constraint constraints.txt "$@" >>"$log" 2>&1 </dev/null && return
  echo "setup: the installation failed; the end of $log:" >&2
  tail -n 25 "$log" >&2
  return 1
}

recorded="$(cat "$stamp" 2>/dev/null || true)" # "extras hash place"
if [[ -n $recorded ]] && is_environment; then
  wanted="$(fingerprint)"
  if [[ -x .venv/bin/seqclv ]] && [[ $recorded == "$extras $wanted" || $recorded == "dev $wanted" ]]; then
    say "up to date: .venv/bin/seqclv"
    exit 0
  fi
  [[ $recorded == dev* ]] && extras=dev # what is installed stays
fi

# Made anew: an environment that is missing, unfinished, or came here from another place.
if ! is_environment || [[ -n $recorded && $recorded != *" $PWD" ]]; then
  python="$(find_python)"
  ensure_venv_module "$python"
  say "making .venv with $("$python" --version)"
  "$python" -m venv --clear .venv
fi

rm -f "$stamp"
: >"$log"
torch="$(grep '^torch==' constraints.txt)"
say "installing $torch"
pip_install "$torch" setuptools # first, so that no other package's range chooses torch
say "installing seqclv and its dependencies (some minutes the first time)"
pip_install --no-build-isolation --editable ".[$extras]"
echo "$extras $(fingerprint)" >"$stamp"
say "done in $SECONDS s: .venv/bin/seqclv"
