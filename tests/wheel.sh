#!/usr/bin/env bash
# Tests the built wheel from a folder that has its own `tools`, `memory` and `agent` packages: ours must not clash.
# Usage: tests/wheel.sh PYTHON. The second environment borrows the first one's dependencies, so this takes seconds.
set -euo pipefail
python=$(realpath -s "$1")
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m build --wheel --outdir "$work/dist" "$root" >"$work/build.log" 2>&1 || { tail -20 "$work/build.log"; exit 1; }
"$python" -m venv --without-pip "$work/venv"
site=$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
borrowed=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -m pip install -q --disable-pip-version-check --no-deps --no-index --target "$site" "$work"/dist/*.whl
# A plain path entry: .pth files inside the borrowed folder are not read, so the editable install stays out.
echo "$borrowed" >"$site/borrowed.pth"

mkdir -p "$work/user/tools" "$work/user/memory" "$work/user/agent"
for package in tools memory agent; do echo "OWNER = 'the user'" >"$work/user/$package/__init__.py"; done
cp -r "$root/tests" "$work/user/tests"
cp "$root/pyproject.toml" "$root/README.md" "$work/user/"
cd "$work/user"
"$work/venv/bin/python" - <<'PY'
import agent, lamarck, lamarck.tools, memory, tools
assert tools.OWNER == memory.OWNER == agent.OWNER == "the user"
assert "site-packages" in lamarck.__file__, lamarck.__file__
PY
LAMARCK_WHEEL=1 "$work/venv/bin/python" -m pytest -p no:cacheprovider \
  tests/test_config.py tests/test_core.py tests/test_prompting.py tests/test_loops.py tests/test_metrics.py \
  tests/test_hosting.py tests/test_actions.py tests/test_episode.py tests/test_alfworld.py tests/test_package.py
