#!/bin/sh
# Installs a wheel with what it needs, and then itself once more, also where this very version is there already. Notes it
# when that has succeeded.
set -e
venv=$1 wheel=$2 mark=$3
shift 3
"$venv/bin/pip" --disable-pip-version-check install "$@" "$wheel"
"$venv/bin/pip" --disable-pip-version-check install --no-deps --force-reinstall "$@" "$wheel"
sha256sum <"$wheel" >"$mark"
