#!/bin/sh
# Renews the locks of operator, sample app, development and the tests' own app: hashes for every
# platform and for Python 3.11 to 3.14, no index line. Needs uv. With -U, newer versions are taken.
#
#   requirements/lock.sh [-U]
set -eu
cd "$(dirname "$0")/.."
unset PIP_FIND_LINKS UV_FIND_LINKS 2>/dev/null || true

lock() {
    output=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-emit-index-url --no-emit-find-links --output-file "$output" "$@"
}

lock requirements/operator.txt pyproject.toml "$@"
lock requirements/operator.build.txt requirements/operator.build.in "$@"
lock requirements/dev.txt pyproject.toml --group dev \
    --constraint requirements/operator.txt "$@"
lock requirements/sample-app.txt sample-app/pyproject.toml \
    --no-emit-package fastapi-operator-runtime "$@"
lock requirements/sample-app.build.txt requirements/sample-app.build.in "$@"
# The tests of runtime/ and sample-app/, with the versions in the image.
lock requirements/sample-app.test.txt sample-app/pyproject.toml runtime/pyproject.toml \
    requirements/sample-app.test.in \
    --all-extras --no-emit-package fastapi-operator-runtime \
    --constraint requirements/sample-app.txt "$@"
lock tests/e2e/orders/requirements.txt tests/e2e/orders/requirements.in \
    --constraint requirements/sample-app.txt "$@"
lock tests/benchmarks/serving/app/requirements.txt tests/benchmarks/serving/app/requirements.in \
    --constraint requirements/sample-app.txt "$@"
lock tests/parts/engines/requirements.txt tests/parts/engines/requirements.in \
    --constraint requirements/sample-app.txt "$@"
lock tests/full/agents/requirements.txt tests/full/agents/requirements.in \
    --constraint requirements/sample-app.txt "$@"
