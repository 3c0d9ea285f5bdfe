"""Opening databases, and naming what goes wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from .errors import StoreError
from .store_tables import META, METADATA, MIGRATIONS, STORE_SCHEMA

BUSY_MS = 5000
"""How long SQLite itself waits for another writer, in milliseconds."""


def engine_for(url: str | Path, *, create: bool) -> tuple[sa.Engine, str]:
    """Return an engine and how to call the place in messages (without a password).

    Raises:
        StoreError: the URL is none, its driver is not installed, or the file is not there and shall not be made.
    """
    text = str(url)
    if "://" not in text:
        path = Path(text)
        if not path.exists() and not create:
            raise StoreError(f"there is no store {path}.", kind="missing")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the folder of store {path}: {error.strerror}.", kind="unwritable") from error
        text = f"sqlite:///{path}"
    if text.startswith(("postgres://", "postgresql://")):
        text = "postgresql+psycopg://" + text.split("://", 1)[1]
    try:
        parsed = sa.make_url(text)
        engine = sa.create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
    except ModuleNotFoundError as error:
        hint = "Run: pip install 'lamarck-agents[postgres]'" if "psycopg" in str(error) else ""
        raise StoreError(f"store {url} needs {error.name}.", hint=hint, kind="driver") from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreError(f"{url} is neither a path nor a database URL.", kind="url") from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _set_up_sqlite)
        sa.event.listen(engine, "begin", _begin_immediate)
    place = str(parsed.database) if engine.dialect.name == "sqlite" else parsed.render_as_string(hide_password=True)
    return engine, place


def prepare(engine: sa.Engine, place: str, *, create: bool) -> None:
    """Make the tables of a new store, bring an older one up to date, refuse a newer one.

    Raises:
        StoreError: it was written by a newer Lamarck, or is some other database.
    """
    with engine.begin() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        if not tables:
            if not create:
                raise StoreError(f"store {place} is empty.", kind="missing")
            METADATA.create_all(connection)
            connection.execute(sa.insert(META).values(key="schema", value=str(STORE_SCHEMA)))
            return
        if "meta" not in tables:
            raise StoreError(f"{place} is a database, but no Lamarck store.", kind="foreign")
        found = connection.execute(sa.select(META.c.value).where(META.c.key == "schema")).scalar()
        version = int(found) if found is not None else 0
        if version > STORE_SCHEMA:
            raise StoreError(
                f"store {place} was written by a newer Lamarck (schema {version}, this one reads {STORE_SCHEMA}).",
                hint="Upgrade: pip install -U lamarck-agents",
                kind="newer",
            )
        for step in range(version, STORE_SCHEMA):
            for statement in MIGRATIONS[step]:
                connection.execute(sa.text(statement))
        if version < STORE_SCHEMA:
            METADATA.create_all(connection)
            connection.execute(sa.update(META).where(META.c.key == "schema").values(value=str(STORE_SCHEMA)))


def select(engine: sa.Engine, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run one SELECT with `?` placeholders on the bare driver: what recall asks must not cost more than its answer."""
    connection = None
    try:
        connection = engine.raw_connection()
        cursor = connection.cursor()
        cursor.execute(query if engine.dialect.name == "sqlite" else query.replace("?", "%s"), tuple(values))
        return cast(list[tuple[Any, ...]], cursor.fetchall())
    except engine.dialect.loaded_dbapi.Error as error:
        raise DBAPIError(query, values, error) from error
    finally:
        if connection is not None:
            connection.close()


def is_busy(error: SQLAlchemyError) -> bool:
    """Say whether waiting may help: another writer, or a serialisation failure."""
    text = str(getattr(error, "orig", error)).lower()
    return "locked" in text or "busy" in text or "deadlock detected" in text or "could not serialize" in text


def named(error: SQLAlchemyError, what: str, place: str) -> StoreError:
    """Return our error for a database's."""
    text = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    low = text.lower()
    if "disk is full" in low or "no space left" in low or "disk full" in low:
        return StoreError(
            f"{what}: the disk of {place} is full.",
            hint="Free some space and go on with --resume; what was stored is safe.",
            kind="disk_full",
        )
    if "not a database" in low or "malformed" in low:
        return StoreError(f"{what}: {place} is damaged or no store ({text}).", kind="damaged")
    if "readonly" in low or "read-only" in low or "permission denied" in low or "unable to open" in low:
        return StoreError(f"{what}: {place} cannot be written ({text}).", hint="Check its rights.", kind="unwritable")
    if is_busy(error):
        return StoreError(f"{what}: {place} is held by another process.", hint="Try again later.", kind="busy")
    return StoreError(f"{what}: {text}.", kind=type(error).__name__)


def _set_up_sqlite(connection: Any, record: Any) -> None:
    # Python's driver must not begin transactions on its own, or BEGIN IMMEDIATE below would come too late.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (f"busy_timeout = {BUSY_MS}", "journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    """Take the write lock at the start: a transaction that reads first could otherwise fail at its first write."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
