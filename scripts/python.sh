# shellcheck shell=bash
# Sets $python to a Python with torch, pillow and numpy; sourced by the comparing scripts from the project's root.
python=python3
if ! $python -c 'import torch, PIL, numpy' 2>/dev/null; then
  [ -x target/venv/bin/python ] || python3 -m venv target/venv
  python=target/venv/bin/python
  $python -c 'import torch, PIL, numpy' 2>/dev/null || $python -m pip install --quiet torch pillow numpy
fi
export python
