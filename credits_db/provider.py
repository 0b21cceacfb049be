"""The state of a user's credits for an app that shows them: what the server said, less what was just pressed.

    provider = CreditsProvider(client.as_user(user_id))
    provider.listen(show)                      # called with each new CreditsState
    await provider.load()
    await provider.consume(3)                  # shown at once, taken back when it is refused or lost

The state is worked out anew from two things, the newest figures of the server and the amounts that have no answer
yet, so taking back is exact whatever else happened meanwhile. Such an amount never takes what is shown below nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

from psycopg.errors import UndefinedFunction

from credits_db.client import AsyncUserClient
from credits_db.errors import CreditsError
from credits_db.procedures import Metadata, whole
from credits_db.results import CreditTransaction, UserCredits

_LOG = logging.getLogger("credits_db")


@dataclass(frozen=True, slots=True)
class CreditsState:
    """What an app shows. is_loading: nothing is known yet, or load or refresh is under way; error: of the last call."""

    credits_remaining: int = 0
    monthly_bonus_credits: int = 0
    total_exports: int = 0
    is_loading: bool = True
    error: Exception | None = None
    credits_held: int = 0

    @property
    def has_credits(self) -> bool:
        """Whether anything may be spent now."""
        return self.credits_remaining > self.credits_held


class _Session:
    """What is known between two resets. An answer that comes later than its session has nothing to change."""

    def __init__(self) -> None:
        self.known = CreditsState()  # by the server
        self.seq = -1  # the ledger row that it is as of
        self.loading = 0
        self.pending: dict[object, int] = {}  # amounts of calls that have no answer yet
        self.undecided: dict[str, str] = {}  # keys of calls whose answer was lost, and what they asked for

    @property
    def state(self) -> CreditsState:
        known = self.known
        spent = min(sum(self.pending.values()), max(known.credits_remaining - known.credits_held, 0))
        left = known.credits_remaining - spent  # what cannot be paid is not shown as if it had been
        return replace(known, credits_remaining=left, is_loading=self.seq < 0 or self.loading > 0)

    def see(self, row: UserCredits) -> None:
        """The balance as of last_seq; one that was read before what is known is passed over."""
        if row.last_seq >= self.seq:
            self.seq = row.last_seq
            self.known = replace(
                self.known,
                credits_remaining=row.credits_remaining,
                credits_held=row.credits_held,
                monthly_bonus_credits=row.monthly_bonus_credits,
            )

    def see_spent(self, row: CreditTransaction) -> None:
        if row.seq > self.seq:
            self.seq = row.seq
            self.known = replace(self.known, credits_remaining=row.balance_after)


class CreditsProvider:
    """One user's credits as an immutable `state` that listeners follow. For one event loop."""

    def __init__(self, client: AsyncUserClient) -> None:
        self._client = client
        self._session = _Session()
        self._state = self._session.state
        self._listeners: dict[object, tuple[Callable[[CreditsState], object], CreditsState]] = {}
        self._counts_exports = True  # until a database without the track app says no

    @property
    def state(self) -> CreditsState:
        return self._state

    @property
    def has_credits(self) -> bool:
        return self._state.has_credits

    def listen(self, callback: Callable[[CreditsState], object]) -> Callable[[], None]:
        """Call back with each state that differs from the one before; returns what ends it."""
        ticket = object()
        self._listeners[ticket] = (callback, self._state)
        return lambda: self._listeners.pop(ticket, None) and None

    async def load(self) -> None:
        """Ask the server for everything: at sign-in."""
        await self.refresh()

    async def refresh(self) -> None:
        """Ask the server for everything once more. Its error is in the state, and raised."""
        with self._reporting() as session:
            session.loading += 1
            self._show()
            try:
                session.see(await self._client.get_user_credits())
                if self._counts_exports:
                    try:
                        stats = await self._client.get_user_stats()
                        session.known = replace(session.known, total_exports=stats.lifetime_exports)
                    except UndefinedFunction:
                        self._counts_exports = False
            finally:
                session.loading -= 1

    async def consume(
        self,
        amount: int = 1,
        description: str | None = None,
        metadata: Metadata = None,
        idempotency_key: str | None = None,
    ) -> CreditTransaction:
        """Spend: the state shows it at once, and takes it back when the server refuses or no answer comes.

        Without an answer it is undecided whether the credits were taken. The next call with the same amount,
        description and metadata sends the same key again, so that the server decides, and one press is charged once;
        name what is paid for in the metadata, so that another job is not taken for it. A key of your own is yours to
        send again. Raises what consume_credit raises.
        """
        amount = whole(amount)
        press = json.dumps([amount, description, dict(metadata or {})], sort_keys=True, default=str)
        with self._reporting() as session:
            key = idempotency_key
            if key is None:
                key = next((key for key, asked in session.undecided.items() if asked == press), str(uuid4()))
                session.undecided.pop(key, None)
            call = self._client.consume_credit(amount, description=description, metadata=metadata, idempotency_key=key)
            session.pending[call] = max(amount, 0)
            self._show()
            try:
                row = await call
                session.see_spent(row)
                return row
            except CreditsError:
                raise
            except BaseException as error:
                if idempotency_key is None:
                    session.undecided[key] = press
                if not isinstance(error, Exception):
                    session.known = replace(session.known, error=TimeoutError("Cancelled before the answer came."))
                raise
            finally:
                del session.pending[call]

    async def follow(self, every: timedelta = timedelta(seconds=1)) -> None:
        """Show every change until this is cancelled or `reset`: the watch of the client, in a task of its own."""
        with self._reporting() as session:
            async with aclosing(self._client.watch(every)) as rows:
                async for row in rows:
                    if session is not self._session:
                        return
                    session.see(row)
                    session.known = replace(session.known, error=None)
                    self._show()

    def reset(self) -> None:
        """Forget everything, at sign-out: also the answers that are still under way, when they come."""
        self._session = _Session()
        self._show()

    @contextmanager
    def _reporting(self) -> Iterator[_Session]:
        """The state says how an operation ended."""
        session = self._session
        try:
            yield session
        except Exception as error:
            session.known = replace(session.known, error=error)
            raise
        else:
            session.known = replace(session.known, error=None)
        finally:
            self._show()

    def _show(self) -> None:
        state = self._session.state
        if state == self._state:
            return
        self._state = state
        for ticket, (callback, told) in tuple(self._listeners.items()):
            if self._state is not state:  # a listener made another, which all have been told
                return
            if ticket in self._listeners and told != state:
                self._listeners[ticket] = (callback, state)
                try:
                    callback(state)
                except Exception:
                    _LOG.exception("a listener of CreditsProvider failed")
