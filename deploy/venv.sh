#!/usr/bin/env bash
# Creates .venv with what the node and its workers need: torch, then the pinned packages, then the command dicom-node.
# No Debian package is needed. The Makefile calls it when the pins have changed.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
say() { printf '%s\n' "$*" >&2; }

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "dicom-node needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1 || true). Use another one: make PYTHON=/path/to/python3.11"
    exit 2
fi
if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    say "creating .venv with $("$python" --version) ..."
    rm -rf .venv
    if ! "$python" -m venv .venv 2>/dev/null; then
        # On Debian, ensurepip is in python3-venv. Without it, the pip of the system can install into the environment.
        rm -rf .venv
        "$python" -m venv --without-pip .venv
        if ! "$python" -m pip --disable-pip-version-check --python .venv/bin/python install --quiet pip; then
            say "'$python' has neither ensurepip nor pip: apt-get install python3-venv, then run make again"
            exit 2
        fi
    fi
fi
pip() { .venv/bin/python -m pip --disable-pip-version-check -qq "$@"; }
# Installs no file whose SHA-256 is not in requirements/hashes.txt.
install_hashed() {
    .venv/bin/python requirements/hashed.py "$@" >.venv/pins.txt
    pip install --no-compile --require-hashes -r .venv/pins.txt
}
say "installing torch (see requirements/torch.in for CPU and CUDA wheels) ..."
install_hashed torch # what torch needs; torch itself is the wheel that the machine's index offers
pip install --no-compile -r requirements/torch.txt
say "installing the pinned packages ..."
install_hashed worker embedded
# setuptools is pinned with torch, so that the build does not download it.
pip install --no-build-isolation --no-deps -e .
