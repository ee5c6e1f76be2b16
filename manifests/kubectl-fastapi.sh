#!/bin/sh
# fastapi-operator, as `kubectl fastapi`. The first run installs it with its locked dependencies in a
# virtual environment of its own, which needs Python 3.11 or newer and a package index.
set -eu
here=$(dirname "$(readlink -f "$0")")
home="${XDG_CACHE_HOME:-$HOME/.cache}/fastapi-operator/$(cat "$here/VERSION")"
if [ ! -e "$home/ready" ]; then
    python=${FASTAPI_OPERATOR_PYTHON:-python3}
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "kubectl-fastapi needs Python 3.11 or newer; name one in FASTAPI_OPERATOR_PYTHON" >&2
        exit 2
    }
    echo "installing kubectl-fastapi in $home" >&2
    "$python" -m venv --clear "$home"
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        -r "$here/requirements.txt" >&2
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$here"/*.whl >&2
    touch "$home/ready"
fi
exec "$home/bin/fastapi-operator" "$@"
