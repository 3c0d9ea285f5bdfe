"""What a verifier's word was found to be worth, as the generation after it is to know it."""

from __future__ import annotations

import json

from ...config_evolve import EvolveConfig
from ...config_verify import VerifyConfig
from ...errors import ConfigError, StoreError, boundary
from ...judged import ENVIRONMENT
from .home import Home

AGREEMENT = "agreement.json"
"""File of a generation: how each verifier agreed with the truth in all generations up to it."""


def gated(home: Home, config: EvolveConfig, number: int) -> VerifyConfig:
    """Return how attempts of a generation are judged: repairs go by what the verifier's word was worth before it.

    Only repairs: what is stored is its word as it was given, or nothing could be measured of one that has no say. What
    learns is corrected by the same figures.

    Args:
        home: of the evolution.
        config: its settings.
        number: of the generation.

    Raises:
        StoreError, ConfigError: what was measured cannot be read.
    """
    verify = config.run.verify
    weight = _weight(home, number) if verify.by != "none" else None
    if weight is None:
        return verify
    return verify.model_copy(update={"gate": verify.gate.model_copy(update={"weight": weight})})


def _weight(home: Home, number: int) -> float | None:
    files = (home.generation(at) / AGREEMENT for at in range(number - 1, 0, -1))
    file = next((one for one in files if one.is_file()), None)
    if file is None:
        return None
    with boundary(StoreError, f"reading {file}", OSError):
        text = file.read_text(encoding="utf-8")
    try:
        entries = [(str(entry["judge"]), float(entry["weight"])) for entry in json.loads(text)["verifiers"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} is damaged: {error!r}.", hint="Without it, repairs go by no measure.") from None
    # An evolution has one verifier, which may judge under more than one name.
    return min((weight for judge, weight in entries if judge != ENVIRONMENT), default=None)
