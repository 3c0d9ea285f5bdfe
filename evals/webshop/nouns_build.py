"""Make the noun table anew: `python -m lamarck.evals.webshop.nouns_build DATA [FILE]`. Needs spaCy and its model."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from ...errors import LamarckError
from .files import Files, read_catalogue
from .nouns import TABLE, Spans, key_of, load_model, noun_spans, write_table

NOTE = """\
# Where the nouns of product names stand, by spaCy's small English model {model}: `key gap.length …`, where the key is a
# 64-bit BLAKE2b of the name. Made by `python -m lamarck.evals.webshop.nouns_build DATA`; no name can be read from it.
"""


def build_table(names: Iterable[str]) -> str:
    """Return the text of a table for some names.

    Raises:
        ConfigError: spaCy or its model is not installed.
    """
    parse = load_model()
    table: dict[str, Spans] = {key_of(name): noun_spans(parse, name) for name in names}
    return NOTE.format(model=parse.meta["version"]) + write_table(table)


def main(arguments: list[str]) -> int:
    """Write the table for a data set; to this package if no file is given."""
    if len(arguments) not in (1, 2):
        sys.stderr.write("usage: python -m lamarck.evals.webshop.nouns_build DATA [FILE]\n")
        return 2
    target = Path(arguments[1]) if len(arguments) == 2 else Path(__file__).with_name(TABLE)
    try:
        catalogue = read_catalogue(Files.find(arguments[0]))
        target.write_text(build_table(product.name for product in catalogue.products), encoding="utf-8")
    except LamarckError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{target}: {len(catalogue.products)} names\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
