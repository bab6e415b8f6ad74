# shellcheck shell=bash
# Makes a virtual environment and installs ssl_jax into it. quickstart.sh and test.sh
# source this file. $1 is the extras, such as '[test]'. It reads these variables:
#   VIRTUAL_ENV  an environment that the caller has activated, which is then used
#   VENV         otherwise the folder of the environment, .venv by default
#   PYTHON       the Python that makes it; by default the newest of 3.13, 3.12, 3.11
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=launch/pythons.sh
source launch/pythons.sh

stop() {
  echo "error: $1" >&2
  exit 2
}

make_environment() {
  local python=${PYTHON:-}
  if [ -z "$python" ]; then
    read -r _ python < <(list_pythons) || stop "no Python >= 3.11 with the modules venv and ensurepip was \
found; install one (on Debian and Ubuntu the package python3-venv too), or set \
PYTHON=/path/to/python3"
  elif ! is_suitable "$python"; then
    stop "PYTHON is $python, which is no Python >= 3.11 with the modules venv and \
ensurepip; set it to one that is, or leave it out"
  fi
  echo "Making $1 with $("$python" --version) ($python)"
  "$python" -m venv "$1"
}

# Stops with a remedy if the environment $1 cannot be used.
check_environment() {
  local version wanted remedy
  version=$(version_of "$1/bin/python")
  remedy="delete it (rm -r '$1') and run this again, or set VENV to another folder"
  [ -z "${VIRTUAL_ENV:-}" ] || remedy='deactivate it and run this again'
  [ -n "$version" ] || stop "the virtual environment $1 is broken: its Python does not \
run; $remedy"
  "$1/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || stop \
    "the virtual environment $1 has Python $version, and ssl_jax needs 3.11 or newer; \
$remedy"
  if [ -n "${PYTHON:-}" ]; then
    wanted=$(version_of "$PYTHON")
    [ -n "$wanted" ] || stop "PYTHON is $PYTHON, which does not run; set it to a Python \
>= 3.11, or leave it out"
    [ "$version" = "$wanted" ] || stop "the virtual environment $1 has Python $version, \
and PYTHON=$PYTHON is $wanted; $remedy"
  fi
}

environment=${VIRTUAL_ENV:-${VENV:-.venv}}
python=$environment/bin/python
# -e is false for a link to a Python that was removed, and -L is true.
if [ -z "${VIRTUAL_ENV:-}" ] && [ ! -e "$python" ] && [ ! -L "$python" ]; then
  make_environment "$environment"
fi
check_environment "$environment"
VIRTUAL_ENV=$(cd "$environment" && pwd)
export VIRTUAL_ENV PATH="$VIRTUAL_ENV/bin:$PATH"

# Installs again only if setup.py or the extras have changed.
stamp="$VIRTUAL_ENV/.ssl_jax-${1:-run}"
if [ ! -e "$stamp" ] || [ setup.py -nt "$stamp" ]; then
  echo 'Installing ssl_jax (a few minutes the first time)'
  # An environment that uv made, or whose creation was interrupted, has no pip.
  python -m pip --version > /dev/null 2>&1 || python -m ensurepip > /dev/null
  python -m pip install --quiet --disable-pip-version-check --editable ".${1:-}"
  touch "$stamp"
fi
