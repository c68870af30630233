#!/bin/sh
# Makes the environments of the other frameworks: sh benchmarks/peers/install.sh FOLDER
# They share nothing with the project's own environment.
set -e
here=$(dirname "$0")
for name in orbit torch jax; do
  python3 -m venv "$1/$name"
  "$1/$name/bin/python" -m pip install --quiet --no-deps -r "$here/$name.txt"
done
