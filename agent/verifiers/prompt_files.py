"""The prompt files of verifiers; files of the user's own come first, as those of the solver do."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from string import Template

from .. import prompts as prompt_files


def fill(prompt: str, folder: str | Path | None = None, /, **values: str) -> str:
    """Fill one prompt; unknown `$names` stay as they are.

    Args:
        prompt: its name, for example `verify_judge`.
        folder: where files of the user's own lie (`solver.prompts`).
        **values: what stands for `$name`.
    """
    own = Path(folder) / f"{prompt}.md" if folder is not None else None
    if own is not None and own.is_file():
        text = own.read_text(encoding="utf-8")
    else:
        text = resources.files(prompt_files).joinpath(f"{prompt}.md").read_text(encoding="utf-8")
    return Template(text).safe_substitute(values).strip()
