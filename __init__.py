"""Lamarck: LLM agents that inherit what they acquire.

Importing this package is cheap: no torch, no database, no network client is loaded.
"""

from __future__ import annotations

__version__ = "0.1.0"
