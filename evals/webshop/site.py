"""The shop as a web page for people: the same session that an agent plays, no script, nothing from outside."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from .goals import Goal
from .pages import Piece, pieces
from .session import Session
from .shop import Shop

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

VISITS = 200
"""Shoppers remembered; the one who was away longest is forgotten first."""
LONGEST_FORM = 20_000
"""Bytes of a form that are read."""
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem 1.5rem; color: #1c2430 }
.goal { background: #fff7d6; border-left: .3rem solid #d9a400; padding: .6rem 1rem; margin: 1rem 0 }
.note { background: #fde8e6; padding: .4rem 1rem } .score { font-size: 1.4rem; font-weight: 600 }
.item { border-top: 1px solid #d5dbe3; margin-top: .6rem; padding-top: .6rem }
button { font: inherit; padding: .25rem .7rem; margin: .15rem; border: 1px solid #8b98a9; border-radius: .3rem;
  background: #f3f5f8; cursor: pointer }
button:hover { background: #e2e8f0 } .chosen { background: #1f5fae; color: #fff } .buy { background: #ffd34d }
input { font: inherit; padding: .25rem .5rem; width: 60% } form { display: inline } p { margin: .3rem 0 }
pre { white-space: pre-wrap; background: #f3f5f8; padding: .8rem } td { padding: .1rem 1rem .1rem 0 }
"""


@dataclass
class Visit:
    """One shopper and what became of the last action."""

    session: Session
    goal: int
    actions: list[str] = field(default_factory=list)
    note: str = ""


class Site:
    """Serves a shop.

    Args:
        shop: what is served.
        goals: what shoppers are sent for.
        first: number of the goal that the front page gives.
        hosts: names under which a browser may call; others are refused, so that no page elsewhere can shop here.
    """

    def __init__(
        self, shop: Shop, goals: Sequence[Goal], *, first: int = 0, hosts: Sequence[str] = ("127.0.0.1", "localhost")
    ) -> None:
        self._shop = shop
        self._goals = goals
        self._first = first
        self._hosts = list(hosts)
        self._visits: OrderedDict[str, Visit] = OrderedDict()

    def app(self) -> Starlette:
        """Return the application, for uvicorn or a test client."""
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
        from starlette.routing import Route

        return Starlette(
            routes=[
                Route("/", self._front),
                Route("/goal/{number:int}", self._begin),
                Route("/visit/{key}", self._show),
                Route("/visit/{key}/act", self._act, methods=["POST"]),
                Route("/style.css", self._style),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=self._hosts)],
        )

    def __len__(self) -> int:
        """Return how many shoppers are remembered."""
        return len(self._visits)

    async def _front(self, request: Request) -> Response:
        return _redirect(f"/goal/{self._first}")

    async def _style(self, request: Request) -> Response:
        from starlette.responses import Response

        return Response(STYLE, media_type="text/css", headers=HEADERS)

    async def _begin(self, request: Request) -> Response:
        number = int(request.path_params["number"])
        if not 0 <= number < len(self._goals):
            return _page("No such goal", [f"<p>There are the goals 0 to {len(self._goals) - 1}.</p>"], 404)
        key = secrets.token_urlsafe(12)
        self._visits[key] = Visit(Session(self._shop, self._goals[number]), number)
        while len(self._visits) > VISITS:
            self._visits.popitem(last=False)
        return _redirect(f"/visit/{key}")

    async def _show(self, request: Request) -> Response:
        key = str(request.path_params["key"])
        visit = self._find(key)
        return _lost() if visit is None else _page("WebShop", _body(visit, key, len(self._goals)))

    async def _act(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        key = str(request.path_params["key"])
        visit = self._find(key)
        if visit is None:
            return _lost()
        content = b""
        async for part in request.stream():
            content += part
            if len(content) > LONGEST_FORM:
                return _page("Too long", ["<p>That is more than a shopper can ask for.</p>"], 413)
        fields = parse_qs(content.decode("utf-8", "replace"))
        words = " ".join(fields.get("words", [""])[0].split())
        action = fields.get("action", [f"search[{words}]"])[0]
        # A search in a large shop takes a while, and other shoppers should not wait for it.
        took = await run_in_threadpool(visit.session.act, action)
        visit.note = "" if took else f"Nothing happens here at: {action[:200]}"
        if took:
            visit.actions.append(action)
        return _redirect(f"/visit/{key}")

    def _find(self, key: str) -> Visit | None:
        visit = self._visits.get(key)
        if visit is not None:
            self._visits.move_to_end(key)
        return visit


def _body(visit: Visit, key: str, goals: int) -> Iterator[str]:
    """Yield the page where a shopper stands, as HTML; every string of the data is escaped."""
    session = visit.session
    yield f'<p class="goal">{escape(session.goal.instruction)}</p>'
    if visit.note:
        yield f'<p class="note">{escape(visit.note)}</p>'
    if session.over:
        yield from _outcome(visit, goals)
    else:
        yield f'<form method="post" action="/visit/{key}/act">'
        yield '<p><input name="words" aria-label="Search words" maxlength="500"> <button>Search</button></p></form>'
        yield f'<form method="post" action="/visit/{key}/act">'
        above = 4 if session.has_search_bar else 2  # Title, instruction and search box, which stand there already.
        shown = islice(pieces(session.state, session.goal.instruction), above, None)
        yield from (_piece(piece, session) for piece in shown)
        yield "</form>"
    yield f"<details><summary>What an agent reads</summary><pre>{escape(session.observe('text_rich'))}</pre></details>"
    taken = "\n".join(visit.actions)
    yield f"<details><summary>{len(visit.actions)} actions so far</summary><pre>{escape(taken)}</pre></details>"


def _piece(piece: Piece, session: Session) -> str:
    text = escape(piece.text)
    if piece.role in ("text", "code"):
        product = session.state.product
        return f"<h2>{text}</h2>" if product is not None and piece.text == product.name else f"<p>{text}</p>"
    value = escape(f"click[{piece.text.lower() if piece.role != 'option' else piece.text}]", quote=True)
    style = "buy" if piece.text == "Buy Now" else ""
    if piece.role == "option" and (piece.option, piece.text) in session.state.options:
        style = "chosen"
    button = f'<button name="action" value="{value}" class="{style}">{text}</button>'
    return f'<div class="item">{button}</div>' if piece.role == "product" else button


def _outcome(visit: Visit, goals: int) -> Iterator[str]:
    bought, product = visit.session.bought, visit.session.state.product
    assert bought is not None and product is not None
    goal = visit.session.goal
    yield f'<p class="score">Reward {bought.value:.3f} of 1</p><p>Bought: {escape(product.name)}</p><table>'
    rows = {
        "kind of product": f"{bought.kind:g}",
        "attributes": f"{bought.attributes} of {len(goal.attributes)}",
        "options": f"{bought.options} of {len(goal.options)}",
        "price": "within the cap" if bought.price else "above the cap",
    }
    yield from (f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in rows.items())
    yield f'</table><p><a href="/goal/{visit.goal}">Again</a>'
    yield f' · <a href="/goal/{(visit.goal + 1) % goals}">Next goal</a></p>'


def _page(title: str, body: Iterator[str] | Sequence[str], status: int = 200) -> Response:
    from starlette.responses import HTMLResponse

    head = f'<meta charset="utf-8"><title>{escape(title)}</title><link rel="stylesheet" href="/style.css">'
    head += '<meta name="viewport" content="width=device-width">'
    content = "\n".join(body)
    page = f'<!doctype html><html lang="en"><head>{head}</head><body>\n{content}\n</body></html>'
    return HTMLResponse(page, status, headers=HEADERS)


def _lost() -> Response:
    return _page("Not here", ['<p>This shopper is not known any more. <a href="/">Begin again</a></p>'], 404)


def _redirect(where: str) -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(where, 303, headers=HEADERS)
