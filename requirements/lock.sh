#!/usr/bin/env bash
# Refresh every pin: `make lock`. Needs uv (the one on PATH, else a private one); resolves for every Python from 3.11.
set -euo pipefail
cd "$(dirname "$0")"
uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    python3 -m venv "$scratch"
    "$scratch/bin/pip" install --quiet uv
    uv=$scratch/bin/uv
fi
compile() {
    "$uv" pip compile --quiet --universal --python-version 3.11 --no-annotate --index-url https://pypi.org/simple \
        --custom-compile-command "make lock" "$@"
}
compile ${LOCK_ARGS---upgrade} torch.in -o torch.all
# torch names its CUDA parts by itself, and the CPU wheel has none: only what both need is pinned here.
grep -v -E '^(nvidia|cuda|triton)' torch.all >torch.txt
rm torch.all
for set in node worker training federated embedded viewer dev audit; do
    # shellcheck disable=SC2086
    compile ${LOCK_ARGS---upgrade} --override no-torch.txt --no-emit-package torch -c torch.txt $set.in -o $set.txt
    sed -i "/sys_platform == 'never'/d" $set.txt  # what only the removed torch wanted
done
# The hashes of every file of each pin, once for all sets: hashed.py selects from them. torch has none (see there).
grep -h -E '^[a-z0-9._-]+==' torch.txt node.txt worker.txt training.txt federated.txt embedded.txt viewer.txt dev.txt audit.txt | grep -v '^torch==' | sort -u >pins.all
compile --no-deps --generate-hashes pins.all -o hashes.txt
rm pins.all
