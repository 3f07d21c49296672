#!/usr/bin/env bash
# Make .venv with what the node and its workers need: torch first, by pip, then the pins, then the command itself.
# No Debian package is needed. Called by the Makefile, which keeps the stamps.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
say() { printf '%s\n' "$*" >&2; }

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "dicom-node needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1 || true). Give another one: make PYTHON=/path/to/python3.11"
    exit 2
fi
if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    say "creating .venv with $("$python" --version) ..."
    rm -rf .venv
    if ! "$python" -m venv .venv 2>/dev/null; then
        # Debian keeps ensurepip in python3-venv: without it, a pip of the system can fill the venv.
        rm -rf .venv
        "$python" -m venv --without-pip .venv
        if ! "$python" -m pip --disable-pip-version-check --python .venv/bin/python install --quiet pip; then
            say "'$python' has neither ensurepip nor pip: apt-get install python3-venv, then try again"
            exit 2
        fi
    fi
fi
pip() { .venv/bin/python -m pip --disable-pip-version-check -qq "$@"; }
say "installing torch (see requirements/torch.in for CPU and CUDA wheels) ..."
pip install --no-compile -r requirements/torch.txt
say "installing the pinned packages ..."
pip install --no-compile -r requirements/worker.txt -r requirements/embedded.txt
# setuptools is pinned with torch, so that the build needs no download of its own.
pip install --no-build-isolation --no-deps -e .
