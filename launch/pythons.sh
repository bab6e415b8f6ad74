# shellcheck shell=bash
# Finds the Pythons that can run ssl_jax. environment.sh and .ci/run source this file.

# Prints the version of the Python $1, such as 3.12, or nothing if it does not run.
version_of() {
  "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

# Succeeds if the Python $1 is 3.11 or newer and can make virtual environments.
is_suitable() {
  "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
    2>/dev/null
}

# Prints "<version> <path>" for one suitable Python of each version, preferred versions
# first. A python3.13 on PATH may be a shim of pyenv that does not run, so each is tried.
list_pythons() {
  local wanted version candidate seen=' '
  for wanted in 3.13 3.12 3.11 any; do
    while read -r candidate; do
      is_suitable "$candidate" || continue
      version=$(version_of "$candidate")
      [[ $seen != *" $version "* ]] || continue
      seen+="$version "
      echo "$version $candidate"
    done < <(candidates "$wanted")
  done
}

# Prints the paths that may be a Python of version $1. If $1 is `any`, these are the
# programs on PATH that are called python3 or python.
candidates() {
  if [ "$1" = any ]; then
    type -aP python3 python || true
  else
    type -aP "python$1" || true
    local folder
    for folder in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*; do
      echo "$folder/bin/python"
    done | sort -rV
  fi
}
