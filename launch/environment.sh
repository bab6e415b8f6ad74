# shellcheck shell=bash
# Sourced by quickstart.sh and test.sh: makes .venv with Python >= 3.11 and
# installs ssl_jax into it. $1: extras, such as '[test]'.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
    if [ -n "$candidate" ] && "$candidate" -c \
        'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo 'error: Python 3.11 or newer is needed; install it or set PYTHON=/path/to/python3' >&2
  return 1
}

# A virtual environment that the caller has activated is used as it is.
if [ -z "${VIRTUAL_ENV:-}" ]; then
  if [ ! -x .venv/bin/python ]; then
    python=$(find_python)
    echo "Making .venv with $("$python" --version)"
    "$python" -m venv .venv
  fi
  # shellcheck disable=SC1091
  source .venv/bin/activate
fi

# Reinstalled only when setup.py or the wanted extras change.
stamp="$VIRTUAL_ENV/.ssl_jax-${1:-run}"
if [ ! -e "$stamp" ] || [ setup.py -nt "$stamp" ]; then
  echo 'Installing ssl_jax (a few minutes the first time)'
  python -m pip install --quiet --disable-pip-version-check --editable ".${1:-}"
  touch "$stamp"
fi
