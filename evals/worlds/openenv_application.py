"""What an OpenEnv server of ours answers: play over `/ws`, sessions and task lists over HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from ... import __version__
from ...errors import ConfigError, EnvironmentFailure, LamarckError
from .openenv_catalogue import Catalogue, ResetRequest, shown
from .openenv_sessions import (
    BROKEN,
    FULL,
    UNKNOWN,
    WRONG,
    PlayState,
    Session,
    Sessions,
    TextAction,
    TextObservation,
)

log = logging.getLogger("lamarck.openenv")

STATUS = {FULL: 503, UNKNOWN: 404, WRONG: 422, BROKEN: 500}


def application(sessions: Sessions, catalogue: Catalogue) -> Starlette:
    """Return the ASGI application."""
    places = _Places(sessions, catalogue)
    name = catalogue.name
    post = ["POST"]
    return Starlette(
        routes=[
            WebSocketRoute("/ws", places.play),
            Route("/reset", _answered(places.reset), methods=post),
            Route("/step", _answered(places.step), methods=post),
            Route("/state", _answered(places.state)),
            Route("/close", _answered(places.close), methods=post),
            Route("/health", _answered(places.health)),
            Route("/metadata", _answered(places.metadata)),
            Route("/schema", _answered(places.schema)),
            Route("/tasks", _answered(places.tasks)),
            Route("/list_environments", _answered(places.names)),
            Route(f"/{name}/splits", _answered(places.splits)),
            Route(f"/{name}/tasks", _answered(places.listed), methods=post),
            Route(f"/{name}/num_tasks", _answered(places.number), methods=post),
            Route(f"/{name}/task", _answered(places.task), methods=post),
            Route(f"/{name}/task_range", _answered(places.task_range), methods=post),
        ]
    )


class _Places:
    """What is behind each address."""

    def __init__(self, sessions: Sessions, catalogue: Catalogue) -> None:
        self._sessions = sessions
        self._catalogue = catalogue

    async def play(self, websocket: WebSocket) -> None:
        await websocket.accept()

        async def hang_up(why: str) -> None:
            with suppress(RuntimeError, WebSocketDisconnect):
                await _send(websocket, "error", {"message": why, "code": UNKNOWN})
                await websocket.close()

        try:
            session = await self._sessions.attach(websocket.query_params.get("session_id"), hang_up)
        except EnvironmentFailure as error:
            with suppress(RuntimeError, WebSocketDisconnect):
                await _send(websocket, "error", self._told(error))
                await websocket.close()
            return
        closed = False
        try:
            closed = await self._converse(websocket, session)
        except (RuntimeError, WebSocketDisconnect):
            # The client left while it was being answered; starlette names it either way.
            log.debug("a client left in the middle of an answer")
        finally:
            await asyncio.shield(self._sessions.leave(session, hang_up, closed=closed))
        if websocket.application_state is not WebSocketState.DISCONNECTED:
            with suppress(RuntimeError, WebSocketDisconnect):
                await websocket.close()

    async def _converse(self, websocket: WebSocket, session: Session) -> bool:
        """Answer until the client says that it is through (True) or is gone (False)."""
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return False
            try:
                asked = json.loads(message.get("text") or message.get("bytes") or "")
                kind, data = asked.get("type"), asked.get("data") or {}
                if kind == "close":
                    return True
                reply = await self._reply(session, kind, data)
            except LamarckError as error:
                reply = ("error", self._told(error))
            except ValidationError as error:
                reply = ("error", _wrong(error))
            except (ValueError, AttributeError) as error:
                reply = ("error", {"message": f"no JSON object: {error}", "code": "INVALID_JSON"})
            await _send(websocket, *reply)

    async def _reply(self, session: Session, kind: object, data: object) -> tuple[str, Mapping[str, Any]]:
        match kind:
            case "step":
                return "observation", await session.step(TextAction.model_validate(data))
            case "reset":
                return "observation", await session.reset(ResetRequest.model_validate(data))
            case "state":
                return "state", session.state.model_dump()
        return "error", {"message": f"unknown message type: {kind}", "code": "UNKNOWN_TYPE"}

    async def reset(self, request: Request) -> Any:
        body = await _body(request)
        ident = body.get("session_id")
        session = self._sessions.get(str(ident)) if ident is not None else await self._sessions.open()
        try:
            return await session.reset(ResetRequest.model_validate(body))
        except BaseException:
            if ident is None:
                # Nobody has been told its id, so nobody could close it.
                await self._sessions.close(session)
            raise

    async def step(self, request: Request) -> Any:
        body = await _body(request)
        return await self._named(body).step(TextAction.model_validate(body.get("action")))

    async def state(self, request: Request) -> Any:
        return self._named(request.query_params).state.model_dump()

    async def close(self, request: Request) -> Any:
        await self._sessions.close(self._named(await _body(request)))
        return {"closed": True}

    async def health(self, request: Request) -> Any:
        return {"status": "healthy", "sessions": len(self._sessions), "max_sessions": self._sessions.most}

    async def metadata(self, request: Request) -> Any:
        name = self._catalogue.name
        return {"name": name, "description": f"{name}, served by Lamarck", "version": __version__}

    async def schema(self, request: Request) -> Any:
        seen = TextObservation.model_json_schema()
        action, state = TextAction.model_json_schema(), PlayState.model_json_schema()
        return {"action": action, "observation": seen, "reset_observation": seen, "state": state}

    async def tasks(self, request: Request) -> Any:
        return await self._range(request.query_params.get("split", self._catalogue.split))

    async def names(self, request: Request) -> Any:
        return [self._catalogue.name]

    async def splits(self, request: Request) -> Any:
        kinds = {"train": "train", "test": "test"}
        return [{"name": name, "type": kinds.get(name, "validation")} for name in self._catalogue.splits]

    async def listed(self, request: Request) -> Any:
        body = await _body(request)
        return {"tasks": await self._range(self._split(body)), "env_name": self._catalogue.name}

    async def number(self, request: Request) -> Any:
        return {"num_tasks": len(await self._catalogue.tasks(self._split(await _body(request))))}

    async def task(self, request: Request) -> Any:
        asked = ResetRequest.model_validate(await _body(request))
        task = await self._catalogue.pick(asked.model_copy(update={"index": asked.index or 0}))
        return {"task": shown(task, asked.index or 0)}

    async def task_range(self, request: Request) -> Any:
        body = await _body(request)
        return {"tasks": await self._range(self._split(body), body.get("start"), body.get("stop"))}

    async def _range(self, split: str, start: Any = None, stop: Any = None) -> list[dict[str, Any]]:
        if not all(end is None or isinstance(end, int) for end in (start, stop)):
            raise ConfigError("start and stop are whole numbers.")
        tasks = await self._catalogue.tasks(split)
        return [shown(tasks[index], index) for index in range(len(tasks))[slice(start, stop)]]

    def _split(self, body: Mapping[str, Any]) -> str:
        return str(body.get("split", self._catalogue.split))

    def _named(self, body: Mapping[str, Any]) -> Session:
        ident = body.get("session_id")
        if ident is None:
            raise EnvironmentFailure(
                "no session_id.", hint="Reset first; its answer has one in the metadata. Or play over /ws.", kind=WRONG
            )
        return self._sessions.get(str(ident))

    def _told(self, error: LamarckError) -> dict[str, Any]:
        more = {"active_sessions": len(self._sessions), "max_sessions": self._sessions.most}
        return {"message": str(error), "code": _code(error), **(more if error.kind == FULL else {})}


async def _send(websocket: WebSocket, kind: str, data: Mapping[str, Any]) -> None:
    await websocket.send({"type": "websocket.send", "text": json.dumps({"type": kind, "data": data})})


async def _body(request: Request) -> dict[str, Any]:
    raw = await request.body()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError as error:
        raise ConfigError(f"the request is no JSON: {error}.") from None
    if not isinstance(body, dict):
        raise ConfigError("the request is no JSON object.")
    return body


def _answered(place: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that answers with JSON, errors of ours included."""

    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(await place(request))
        except ValidationError as error:
            wrong = _wrong(error)
            return JSONResponse({"detail": wrong["message"], "code": WRONG}, STATUS[WRONG])
        except LamarckError as error:
            code = _code(error)
            return JSONResponse({"detail": str(error), "code": code}, STATUS[code])

    return endpoint


def _code(error: LamarckError) -> str:
    if isinstance(error, ConfigError):
        return WRONG
    return error.kind if error.kind in STATUS else BROKEN


def _wrong(error: ValidationError) -> dict[str, Any]:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return {"message": f"wrong request: {where}: {first['msg']}", "code": WRONG}
