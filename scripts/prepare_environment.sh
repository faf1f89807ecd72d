#!/usr/bin/env bash
# Makes a virtual environment for `make`, after checking for what pip cannot install: a C++ compiler, Python's headers
# and its venv module. As root on Debian it installs them; elsewhere it says what to install.
#
# usage: prepare_environment.sh PYTHON VENV
set -euo pipefail
python=$1
venv=$2

missing=()
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
"$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || missing+=(python3-dev)
command -v c++ >/dev/null || missing+=(g++)

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(uname)" = Darwin ]; then
    echo "missing: ${missing[*]}. Install Xcode's command line tools (xcode-select --install) and Python 3.10 or newer." >&2
    exit 1
  elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update --quiet=2
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "${missing[@]}"
  else
    echo "missing: ${missing[*]}. On Debian: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
  echo "helion-msl needs Python 3.10 or newer; $python is $("$python" --version)" >&2
  exit 1
}
"$python" -m venv "$venv"
# Dependency groups (pip install --group) came with pip 25.1.
"$venv/bin/python" -m pip install --quiet --upgrade "pip>=25.1"
