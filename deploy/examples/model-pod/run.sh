#!/usr/bin/env bash
# Starts the example model, with a virtual environment made at the first start.
#
# Owns: the environment (in the cache, outside the checkout) and how Python is called.
# Does not: serve; it becomes serve.py, so that signals and the exit code are the model's own.
# Arguments go to serve.py: `run.sh --demo 50` serves, sends itself 50 requests and ends with 0.
# Exit code 3: the packages could not be had, said in one line.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cache=${SIDEWAKE_CACHE:-${HOME:?set HOME or SIDEWAKE_CACHE}/.cache/sidewake}/model-pod
python=${PYTHON:-python3}

could_not_get() { printf 'could not get the example model: %s\n' "$*" >&2; exit 3; }

# Other packages or another Python make another environment.
digest() { { cat "$here/requirements.txt"; "$python" -VV; } | sha256sum | cut -c1-10; }

# One start at a time makes it; it counts only when it is whole. What pip says goes to a file: this
# program's output is the model's.
make_environment() {
  local log=$cache/install.log
  [[ -e $venv/.complete ]] && return
  rm -rf "$venv"
  if ! { "$python" -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check \
         --no-deps --requirement "$here/requirements.txt" && "$venv/bin/pip" check; } >"$log" 2>&1; then
    could_not_get "$(grep -v '^[[:space:]]*$' "$log" | tail -n 1 | cut -c1-200)"
  fi
  touch "$venv/.complete"
}

command -v "$python" >/dev/null || could_not_get "there is no $python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || could_not_get "it needs Python 3.11 or newer"
venv=$cache/venv-$(digest)
mkdir -p "$cache"
(flock 9; make_environment) 9>"$cache/lock"

# Unbuffered: on a pipe Python would write 8 KiB at a time, late, and lose the last ones when killed.
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
exec "$venv/bin/python" "$here/serve.py" "$@"
