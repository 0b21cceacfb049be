"""A call of an RPC as a value, and the descriptor that turns one declaration into a sync and an async method."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

import psycopg
from psycopg import sql
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from credits_db.results import Result

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound=Result)
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """`select * from public.<function>(<name> => <value>, ...)`, and how to read its rows.

    One that is alone is never part of a transaction of the caller's.
    """

    function: str
    arguments: Mapping[str, object]
    read: Callable[[Sequence[Row]], T]
    alone: bool = False

    @property
    def statement(self) -> bytes:
        return _statement(self.function, tuple(self.arguments))


@cache
def _statement(function: str, names: tuple[str, ...]) -> bytes:
    arguments = [sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in names]
    call = sql.SQL("select * from {}({})").format(sql.Identifier("public", function), sql.SQL(", ").join(arguments))
    return call.as_bytes()


def one(result: type[R]) -> Callable[[Sequence[Row]], R]:
    """Read the single row of an answer."""
    return lambda rows: result.from_json(rows[0])


def maybe(result: type[R]) -> Callable[[Sequence[Row]], R | None]:
    """Read the row of an answer that may have none."""
    return lambda rows: result.from_json(rows[0]) if rows else None


def many(result: type[R]) -> Callable[[Sequence[Row]], list[R]]:
    """Read all rows of an answer."""
    return lambda rows: [result.from_json(row) for row in rows]


def scalar(_: type[T]) -> Callable[[Sequence[Row]], T]:
    """Read the only value of an answer."""
    return lambda rows: next(iter(rows[0].values()))


def is_transient(error: BaseException) -> bool:
    """Whether the same call, with the same key, may succeed when it is sent again."""
    if not isinstance(error, psycopg.Error) or isinstance(error, PoolClosed | PoolTimeout | TooManyRequests):
        return False
    state = error.sqlstate
    if state is None:  # the connection was lost: no answer at all
        return isinstance(error, psycopg.OperationalError)
    passing = state in {"40001", "40P01", "55P03", "57014"} or state[:2] == "08" or state[:4] == "57P0"
    return passing or (state == "XX000" and "server closed" in str(error))


class SyncRunner(Protocol):
    def run(self, call: Call[T]) -> T: ...


class AsyncRunner(Protocol):
    async def run(self, call: Call[T]) -> T: ...


class rpc(Generic[P, T]):
    """Declares an RPC once: on a sync client a method, on an async client a coroutine method of the same signature."""

    def __init__(self, declare: Callable[Concatenate[Any, P], Call[T]]) -> None:
        self.declare = declare
        update_wrapper(self, declare)  # type: ignore[arg-type]  # typeshed wants a callable; help() reads these

    @overload
    def __get__(self, client: None, owner: type) -> rpc[P, T]: ...
    @overload
    def __get__(self, client: AsyncRunner, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, client: SyncRunner, owner: type) -> Callable[P, T]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.run(self.declare(client, *args, **kwargs))

        return update_wrapper(call, self.declare)
