#!/usr/bin/env bash
# Manages the key pairs with which CI, or a person, signs in to Snowflake: create, rotate, status (see --help).
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

# The Python that has requirements.txt: the caller's choice, this project's, or the active one.
python=${DBT_MESH_PYTHON:-}
if [[ -z $python ]]; then
  for python in "$here/.venv/bin/python" "$here/.venv/Scripts/python.exe" python3 python; do
    command -v -- "$python" >/dev/null && break
  done
fi

exec "$python" "$here/scripts/_mesh.py" keypair-auth "$@"
