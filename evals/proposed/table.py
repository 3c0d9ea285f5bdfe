"""The proposers that ship with Lamarck, by name."""

from __future__ import annotations

from ...agent.proposers.finding import CURRICULA

PROPOSERS = {
    **CURRICULA,
    "household": "lamarck.evals.proposed.described:household",
    "code": "lamarck.evals.proposed.code_triples:code",
    "sums": "lamarck.evals.proposed.sums:sums",
    "documents": "lamarck.evals.proposed.document_questions:documents",
    "relabelled": "lamarck.evals.proposed.relabelled:relabelled",
}
SELF_MADE = frozenset(PROPOSERS) - frozenset(CURRICULA)
INVENTED = SELF_MADE - {"relabelled"}
"""Those of them whose tasks no given one ever stands in for."""
