"""What is shipped, and what importing it costs."""

import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import lamarck
import pytest

ROOT = Path(lamarck.__file__).parent
PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
HEAVY = (
    "torch",
    "vllm",
    "trl",
    "transformers",
    "chromadb",
    "docker",
    "litellm",
    "textworld",
    "pyarrow",
    "langgraph",
    "mcp",
    "httpx",
    "numpy",
    "gymnasium",
    "scienceworld",
    "starlette",
    "datasets",
)


def test_listed_packages_are_the_folders_there_are():
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    skip = {"tests", "build", "dist", "docs", "runs"}
    found = {"lamarck"}
    for init in ROOT.rglob("__init__.py"):
        parts = init.relative_to(ROOT).parts[:-1]
        if parts and not (set(parts) & skip) and not any(part.startswith(".") for part in parts):
            found.add(".".join(("lamarck", *parts)))
    assert listed == found


@pytest.mark.parametrize(
    "module",
    [
        "lamarck",
        "lamarck.core",
        "lamarck.config",
        "lamarck.__main__",
        "lamarck.seams",
        "lamarck.memory.bank",
        "lamarck.sandboxes.docker_engine",
        "lamarck.cli.app",
    ],
)
def test_importing_is_cheap(module):
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_data_files_are_shipped():
    assert resources.files("lamarck.agent.prompts").joinpath("system_choice.md").is_file()
    assert resources.files("lamarck.evals").joinpath("household.pddl").is_file()
    assert resources.files("lamarck.evals").joinpath("baselines.toml").is_file()
    for name in ("report.html", "report.css", "report.js"):
        assert resources.files("lamarck.evals.reports").joinpath(name).is_file()
    for name in ("colors.txt", "nouns.txt", "generate.json"):
        assert resources.files("lamarck.evals.webshop").joinpath(name).is_file()
    assert resources.files("lamarck").joinpath("py.typed").is_file()


def test_gpl_stays_in_its_opt_in_extra():
    extras = PROJECT["project"]["optional-dependencies"]
    everything = " ".join(extras["all"] + PROJECT["project"]["dependencies"] + extras["embedded"] + extras["train"])
    assert "textworld" not in everything and "alfworld" not in everything
    assert PROJECT["project"]["license"] == "Apache-2.0"
