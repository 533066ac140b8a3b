#!/bin/sh
# Runs networks.py, or full.py if that is the first word, with what
# requirements.txt names, in a virtual environment (5 GB, most of it torch):
# $SOSIE_NETWORKS_VENV, or networks-venv in the cache folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${SOSIE_NETWORKS_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/sosie/networks-venv}
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/installed.txt"
fi
script=networks.py
if [ "${1:-}" = full.py ]; then
    script=full.py
    shift
fi
exec "$venv/bin/python" "$here/$script" "$@"
