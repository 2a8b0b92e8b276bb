#!/bin/bash
# Checks deploy/kubernetes/ against the schemas of Kubernetes and KEDA. The validator is fetched from PyPI once, into
# ${MAILQ_TEST_CACHE:-~/.cache/mailq-tests}; afterwards no network is needed.
set -euo pipefail
cd "$(dirname "$0")/.."
wanted=tests/kubernetes/requirements.txt
folder=${MAILQ_TEST_CACHE:-$HOME/.cache/mailq-tests}/manifests
mkdir -p "$folder"
# Two at once must not fill one folder.
exec 9>"$folder/lock"
flock 9
if ! cmp -s "$wanted" "$folder/complete"; then
    rm -rf "$folder/python" "$folder/complete"
    if ! python3 -m venv "$folder/python" >"$folder/log" 2>&1 ||
        ! "$folder/python/bin/pip" install --quiet --requirement "$wanted" >>"$folder/log" 2>&1; then
        tail -n 5 "$folder/log" >&2
        printf 'error: the validator of manifests could not be installed\n' >&2
        printf 'hint: sudo apt-get install -y python3-venv; the first run needs the network, later ones do not\n' >&2
        exit 1
    fi
    cp "$wanted" "$folder/complete"
fi
exec "$folder/python/bin/python" tests/kubernetes/validate.py
