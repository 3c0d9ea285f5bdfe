"""Packages as small as what transformers asks of wandb and trackio: they write down what they were told."""

import textwrap

COMMON = """
import json, os, sys

def note(what, **more):
    with open(os.environ["NOTES"], "a") as file:
        file.write(json.dumps([what, more]) + "\\n")

class Config(dict):
    def update(self, *arguments, **keywords):
        pass
"""
WANDB = """
run = None
config = Config()

class Settings:
    def __init__(self, silent):
        self.silent = silent

class Run:
    summary = {}
    def _label(self, **labels):
        pass
    def finish(self):
        global run
        run = None
        note("finish")

def init(settings, **keywords):
    global run
    print("wandb: hello")
    if not keywords.get("mode") and not os.environ.get("WANDB_API_KEY"):
        raise RuntimeError("No API key configured.\\nUse `wandb login`.")
    run = Run()
    note("init", **keywords)
    return run

def define_metric(*arguments, **keywords):
    pass

def log(figures):
    note("log", step=figures["train/global_step"])
"""
TRACKIO = """
from types import SimpleNamespace
config = Config()
context_vars = SimpleNamespace(current_space_id=SimpleNamespace(get=lambda: None))

def init(project, name, space_id, **keywords):
    print("* Trackio project initialized")
    note("init", project=project, name=name, space_id=space_id)

def log(figures):
    note("log", step=figures["train/global_step"])

def finish():
    print("* Run finished")
    note("finish")
"""


def install(folder):
    """Write both to a folder that can be put on `sys.path`."""
    for name, text in (("wandb", WANDB), ("trackio", TRACKIO)):
        place = folder / name
        (place / "sdk" / "lib").mkdir(parents=True)
        (place / "__init__.py").write_text(textwrap.dedent(COMMON) + text, encoding="utf-8")
        for package in ("sdk", "sdk/lib"):
            (place / package / "__init__.py").touch()
        (place / "sdk" / "lib" / "config_util.py").write_text("class ConfigError(Exception): pass\n", encoding="utf-8")
    return folder
