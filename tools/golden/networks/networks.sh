#!/bin/sh
# Runs networks.py, or the script of this folder that the first word names
# (full.py, ../train/losses.py), with what requirements.txt names, in a virtual
# environment (5 GB, most of it torch): $SOSIE_NETWORKS_VENV, or networks-venv
# in the cache folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${SOSIE_NETWORKS_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/sosie/networks-venv}
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/installed.txt"
fi
script=networks.py
case ${1:-} in
    *.py) script=$1; shift ;;
esac
exec "$venv/bin/python" "$here/$script" "$@"
