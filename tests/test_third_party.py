"""A package of somebody else's that brings a tool, installed as its users would."""

import json
import os
import subprocess
import sys

PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "stranger-tools"
version = "1.0"

[project.entry-points."lamarck.tools"]
reverse = "stranger_tools:reverse"
broken = "stranger_tools:nothing_here"

[tool.setuptools]
py-modules = ["stranger_tools"]
"""

MODULE = '''
from lamarck.tools.tool import tool

@tool(permissions={"files"})
async def reverse(text: str) -> str:
    """Say it backwards.

    Args:
        text: what to say.
    """
    return text[::-1]
'''

USE = """
import asyncio, json
from lamarck.core import ToolCall
from lamarck.errors import ConfigError
from lamarck.tools.toolset import load_tools

tools = load_tools(["reverse"])
[spec] = tools.specs()
done = asyncio.run(tools.call(ToolCall(name="reverse", arguments={"text": "lamarck"})))
complaints = []
for name in ("broken", "absent"):
    try:
        load_tools([name])
    except ConfigError as error:
        complaints.append(str(error))
said = {"result": done.result, "description": spec.description, "arguments": spec.parameters["properties"]}
print(json.dumps({**said, "complaints": complaints}))
"""


def test_a_tool_of_an_installed_package(tmp_path):
    source, target = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "stranger_tools.py").write_text(MODULE)
    offline = ["--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check", "-q"]
    install = [sys.executable, "-m", "pip", "install", *offline, "--target", str(target), str(source)]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    env = {**os.environ, "PYTHONPATH": str(target)}
    used = subprocess.run(
        [sys.executable, "-c", USE], capture_output=True, text=True, env=env, cwd=tmp_path, timeout=60
    )
    assert used.returncode == 0, used.stderr
    said = json.loads(used.stdout)
    assert said["result"] == "kcramal" and said["description"] == "Say it backwards."
    assert said["arguments"] == {"text": {"type": "string", "description": "what to say."}}
    broken, absent = said["complaints"]
    assert "tool broken does not load: " in broken and "nothing_here" in broken
    assert absent == "there is no tool 'absent'; there are: broken, reverse."
