"""Terminal drawings as plain text: colours often mark where things are, so they are told in words."""

from __future__ import annotations

import re

_CODE = re.compile(r"\x1b\[([0-9;]*)m")
_OTHER = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]")
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


def plain(drawing: str) -> str:
    """Return a drawing without escape codes, with a line below that says what was coloured, and where.

    Lines and columns are counted from 1.
    """
    text, marks, style = [], [], ""
    line = column = 1
    lines = _OTHER.sub("", drawing.strip("\n")).rstrip().split("\n")
    for line, content in enumerate(lines, 1):
        column, kept, at = 1, "", 0
        for code in [*_CODE.finditer(content), None]:
            span = content[at : code.start() if code else len(content)]
            if style and span:
                marks.append(f"{span!r} {style} in line {line}, column {column}")
            kept, column = kept + span, column + len(span)
            if code:
                style, at = _style(code[1]), code.end()
        text.append(kept.rstrip())
    return "\n".join([*text, "", f"Coloured: {'; '.join(marks)}."] if marks else text)


def _style(codes: str) -> str:
    """Return the colour that SGR codes set, or nothing where they end it."""
    words = []
    for code in (int(part or 0) for part in codes.split(";")):
        if 30 <= code <= 37:
            words.append(_COLOURS[code - 30])
        elif 40 <= code <= 47:
            words.append(f"on {_COLOURS[code - 40]}")
        elif code == 7:
            words.append("inverse")
    return " ".join(words)
