"""A terminal for the tests: what a person sees after all that was written to it, control codes carried out."""

import re
from io import StringIO

from rich.console import Console

CODE = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


def console(width=100, height=40, *, terminal=True):
    """A console as `lamarck` makes it for stderr, on a terminal of this size or in a file."""
    environment = {"TERM": "xterm-256color"}
    return Console(
        file=StringIO(), force_terminal=terminal, width=width, height=height, highlight=False, soft_wrap=True,
        color_system=None, _environ=environment,
    )  # fmt: skip


def seen(written):
    """Return the lines on the screen and whether the cursor is shown. Knows what rich uses."""
    lines, row, column, cursor = [""], 0, 0, True
    for code, letter, back, down, text in CODE.findall(written):
        if back:
            column = 0
        elif down:
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif text:
            old = lines[row].ljust(column)
            lines[row] = old[:column] + text + old[column + len(text) :]
            column += len(text)
        elif letter == "A":
            row = max(0, row - int(code or 1))
        elif letter == "K":
            lines[row] = ""
        elif code == "?25":
            cursor = letter == "h"
        elif letter != "m":
            raise ValueError(f"unknown code {code}{letter}")
    return [line.rstrip() for line in lines], cursor
