#!/bin/sh
# Runs engines.py with the peers that requirements.txt names, in a virtual
# environment: $SOSIE_BENCH_VENV, or bench-venv in the cache folder. With
# qdq.py as first word, that script instead.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${SOSIE_BENCH_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/sosie/bench-venv}
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/installed.txt"
fi
script=engines.py
if [ "${1:-}" = qdq.py ]; then
    script=qdq.py
    shift
fi
exec "$venv/bin/python" "$here/$script" "$@"
