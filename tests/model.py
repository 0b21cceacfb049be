"""What the ledger promises, in plain Python: the model that tests/test_model.py holds the database against.

It thinks of credits one by one. A lot is a pile of them, what never expires is a number (below zero: a debt), and
whoever takes credits keeps the list of what was taken, one entry a credit, so that giving back is taking from the end
of that list. Nothing is ever computed ahead or cached: time passes by doing, one after the other, what fell due.
A refusal is an exception with the token that SQL answers.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta

MAX_HOLDS = 100


class Refused(Exception):
    """The call changes nothing, and its answer is this token."""


@dataclass(eq=False)
class Lot:
    seq: int
    expires_at: datetime
    free: int


Taken = Lot | None  # where one credit came from; None: from those that never expire


@dataclass
class Row:
    seq: int
    type: str
    amount: int
    balance_after: int
    at: datetime
    taken: list[Taken] = field(default_factory=list)  # what a consumption has not given back yet, in order of drawing


@dataclass(eq=False)
class Hold:
    name: str
    amount: int
    expires_at: datetime
    coins: list[Lot]
    status: str = "active"
    captured: int | None = None
    seq: int | None = None
    ended_at: datetime | None = None


@dataclass(eq=False)
class Purchase:
    seq: int
    credits: int
    lot: Lot | None
    refunds: dict[str, int | None]  # None: all of it
    reversed: set[str] = field(default_factory=set)
    back: int = 0
    taken: list[Taken] = field(default_factory=list)


@dataclass(eq=False)
class Grant:
    """A recurring grant; user None: for all who hold the entitlement."""

    name: str
    user: int | None
    entitlement: str | None
    amount: int
    period: str
    rollover: bool
    starts_at: datetime
    ends_at: datetime | None = None


@dataclass
class Held:
    """An entitlement of a user."""

    since: datetime
    until: datetime | None


@dataclass
class Notice:
    user: int
    payload: dict[str, int]
    leased_until: datetime | None = None
    attempts: int = 0


def period_start(period: str, at: datetime) -> datetime:
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


def period_end(period: str, at: datetime) -> datetime:
    return period_start(
        period, period_start(period, at) + {"day": 1, "week": 7, "month": 32}[period] * timedelta(days=1)
    )


def soonest(lot: Lot) -> tuple[datetime, int]:
    return lot.expires_at, lot.seq


class Account:
    def __init__(self, user: int, grants: list[Grant], notices: list[Notice]) -> None:
        self.user, self.grants, self.notices = user, grants, notices
        self.rows: list[Row] = []
        self.rest = 0
        self.lots: list[Lot] = []
        self.holds: list[Hold] = []
        self.purchases: dict[str, Purchase] = {}
        self.entitlements: dict[str, Held] = {}
        self.granted: dict[tuple[str, datetime], datetime] = {}  # name and period of what was granted, and when
        self.alert_below: int | None = None

    @property
    def balance(self) -> int:
        return self.rest + sum(lot.free for lot in self.lots) + sum(len(h.coins) for h in self.active())

    @property
    def held(self) -> int:
        return sum(hold.amount for hold in self.active())

    @property
    def available(self) -> int:
        return self.balance - self.held

    def active(self) -> list[Hold]:
        return [hold for hold in self.holds if hold.status == "active"]

    # what every operation is made of

    def post(self, type: str, amount: int, at: datetime) -> Row:
        """The ledger row of credits that have moved already."""
        before = self.rows[-1].balance_after if self.rows else 0
        row = Row(len(self.rows) + 1, type, amount, before + amount, at)
        self.rows.append(row)
        if type == "consumption" and self.alert_below is not None and before >= self.alert_below > row.balance_after:
            payload = {"credits_remaining": row.balance_after, "alert_below": self.alert_below, "seq": row.seq}
            self.notices.append(Notice(self.user, payload))
        return row

    def draw(self, amount: int) -> list[Taken]:
        taken: list[Taken] = []
        for lot in sorted(self.lots, key=soonest):
            while lot.free and len(taken) < amount:
                lot.free -= 1
                taken.append(lot)
        while len(taken) < amount:
            self.rest -= 1
            taken.append(None)
        return taken

    def give(self, coin: Taken) -> None:
        if coin is None:
            self.rest += 1
        else:
            coin.free += 1

    def cover_debt(self) -> None:
        """Credits that would expire pay what is owed, first the free ones, then those that holds have set aside."""
        for lot in sorted(self.lots, key=soonest):
            while self.rest < 0 and lot.free:
                lot.free -= 1
                self.rest += 1
        backing = [(soonest(lot), hold, lot) for hold in self.active() for lot in hold.coins]
        for _, hold, lot in sorted(backing, key=lambda coin: coin[0]):
            if self.rest < 0:
                hold.coins.remove(lot)
                self.rest += 1

    def expire(self, lot: Lot, at: datetime) -> None:
        amount, lot.free = lot.free, 0
        self.post("expiration", -amount, at)

    def expire_what_came_back(self, now: datetime) -> None:
        for lot in sorted(self.lots, key=soonest):
            if lot.free and lot.expires_at <= now:
                self.expire(lot, now)

    # time

    def holds_entitlement(self, grant: Grant, at: datetime) -> bool:
        held = self.entitlements.get(grant.entitlement or "")
        return held is not None and held.since <= at and (held.until is None or held.until > at)

    def instant(self, grant: Grant, now: datetime) -> datetime | None:
        """When the grant of the current period counts for this user, if it does and is not written yet."""
        start = period_start(grant.period, now)
        if (grant.name, start) in self.granted:
            return None
        if grant.user is None:
            held = self.entitlements.get(grant.entitlement or "")
            if held is None:
                return None
            at = max(start, grant.starts_at, held.since)
            if held.until is not None and held.until <= at:
                return None
        elif grant.user == self.user:
            at = max(start, grant.starts_at)
        else:
            return None
        return at if grant.ends_at is None or at < grant.ends_at else None

    def first_due(self, now: datetime) -> tuple[datetime, Lot | Hold | Grant] | None:
        due: list[tuple[datetime, int, tuple[object, ...], Lot | Hold | Grant]] = []
        due += [(lot.expires_at, 0, (lot.seq,), lot) for lot in self.lots if lot.free and lot.expires_at <= now]
        due += [(hold.expires_at, 1, (hold.name,), hold) for hold in self.active() if hold.expires_at <= now]
        for grant in self.grants:
            at = self.instant(grant, now)
            if at is not None and at <= now:
                due.append((at, 2, (grant.name,), grant))
        if not due:
            return None
        at, _, _, what = min(due, key=lambda each: each[:3])
        return at, what

    def settle(self, now: datetime) -> None:
        """Everything that has fallen due, in the order of time."""
        while due := self.first_due(now):
            at, what = due
            if isinstance(what, Lot):
                self.expire(what, at)
            elif isinstance(what, Hold):
                self.end_hold(what, "expired", at)
            else:
                self.grant(what, at)

    def grant(self, grant: Grant, at: datetime) -> None:
        self.granted[grant.name, period_start(grant.period, at)] = at
        row = self.post("monthly_bonus" if grant.period == "month" else "bonus", grant.amount, at)
        if grant.rollover:
            self.rest += grant.amount
        else:
            self.lots.append(Lot(row.seq, period_end(grant.period, at), grant.amount))
        self.cover_debt()

    def end_hold(self, hold: Hold, status: str, at: datetime) -> None:
        hold.status, hold.ended_at = status, at
        for lot in hold.coins:
            lot.free += 1
        hold.coins = []
        self.expire_what_came_back(at)

    def seen(self, now: datetime) -> Account:
        """The account as a read at this instant must show it, whatever was written by then."""
        if not self.first_due(now):
            return self
        found = copy.deepcopy(self, {id(self.grants): self.grants, id(self.notices): []})
        found.settle(now)
        return found

    def monthly_bonus(self, now: datetime) -> int:
        return 0

    def last_bonus(self) -> datetime | None:
        return next((row.at for row in reversed(self.rows) if row.type == "monthly_bonus"), None)

    def balance_at(self, at: datetime) -> int:
        return next((row.balance_after for row in reversed(self.rows) if row.at <= at), 0)

    # operations

    def consume(self, amount: int, now: datetime) -> Row:
        self.settle(now)
        if self.available < amount:
            raise Refused("insufficient_credits")
        taken = self.draw(amount)
        row = self.post("consumption", -amount, now)
        row.taken = taken
        return row

    def add(self, amount: int, type: str, expires_at: datetime | None, now: datetime) -> Row:
        if expires_at is not None and expires_at <= now:
            raise Refused("invalid_argument")
        self.settle(now)
        row = self.post(type, amount, now)
        if expires_at is None:
            self.rest += amount
        else:
            self.lots.append(Lot(row.seq, expires_at, amount))
        self.cover_debt()
        return row

    def take(self, amount: int, type: str, now: datetime) -> Row:
        """A negative adjustment: nobody asks whether it is there."""
        self.settle(now)
        self.rest -= amount
        row = self.post(type, -amount, now)
        self.cover_debt()
        return row

    def refund(self, seq: int, amount: int | None, now: datetime) -> Row:
        self.settle(now)
        if not 1 <= seq <= len(self.rows) or self.rows[seq - 1].type != "consumption":
            raise Refused("transaction_not_found")
        origin = self.rows[seq - 1]
        amount = len(origin.taken) if amount is None else amount
        if amount == 0 or amount > len(origin.taken):
            raise Refused("refund_exceeds_consumption")
        row = self.post("refund", amount, now)
        for _ in range(amount):
            self.give(origin.taken.pop())
        self.cover_debt()
        self.expire_what_came_back(now)
        return row

    def reserve(self, name: str, amount: int, expires_in: timedelta, now: datetime) -> Hold:
        self.settle(now)
        if len(self.active()) >= MAX_HOLDS:
            raise Refused("too_many_holds")
        if self.available < amount:
            raise Refused("insufficient_credits")
        coins: list[Lot] = []
        for lot in sorted(self.lots, key=soonest):
            while lot.free and len(coins) < amount:
                lot.free -= 1
                coins.append(lot)
        hold = Hold(name, amount, now + expires_in, coins)
        self.holds.append(hold)
        return hold

    def hold(self, name: str) -> Hold:
        for hold in self.holds:
            if hold.name == name:
                return hold
        raise Refused("hold_not_found")

    def capture(self, name: str, amount: int | None, now: datetime) -> Row:
        self.settle(now)
        hold = self.hold(name)
        if hold.status != "active":
            raise Refused("hold_not_active")
        amount = hold.amount if amount is None else amount
        if amount > hold.amount:
            raise Refused("invalid_amount")
        taken: list[Taken] = list(hold.coins[:amount])
        hold.coins = hold.coins[amount:]
        while len(taken) < amount:
            self.rest -= 1
            taken.append(None)
        row = self.post("consumption", -amount, now)
        row.taken = taken
        hold.captured, hold.seq = amount, row.seq
        hold.status, hold.ended_at = "captured", now
        for lot in hold.coins:
            lot.free += 1
        hold.coins = []
        self.cover_debt()
        self.expire_what_came_back(now)
        return row

    def release(self, name: str, now: datetime) -> Hold:
        self.settle(now)
        hold = self.hold(name)
        if hold.status == "captured":
            raise Refused("hold_not_active")
        if hold.status == "active":
            self.end_hold(hold, "released", now)
        return hold

    def buy(self, name: str, credits: int, expires_after: timedelta | None, now: datetime) -> Purchase:
        if name not in self.purchases:
            row = self.add(credits, "purchase", None if expires_after is None else now + expires_after, now)
            lot = None if expires_after is None else self.lots[-1]
            self.purchases[name] = Purchase(row.seq, credits, lot, {})
        return self.purchases[name]

    def refund_purchase(self, name: str, refund: str, credits: int | None, now: datetime) -> Purchase:
        if name not in self.purchases:
            raise Refused("transaction_not_found")
        purchase = self.purchases[name]
        if purchase.refunds.setdefault(refund, credits) != credits:
            raise Refused("idempotency_key_reused")
        self.follow(purchase, now)
        return purchase

    def reverse(self, name: str, refund: str, now: datetime) -> Purchase:
        purchase = self.purchases[name]
        purchase.reversed.add(refund)
        self.follow(purchase, now)
        return purchase

    def follow(self, purchase: Purchase, now: datetime) -> None:
        """As much goes back as refunds that stand add up to."""
        self.settle(now)
        stand = [credits for refund, credits in purchase.refunds.items() if refund not in purchase.reversed]
        target = sum(purchase.credits if credits is None else credits for credits in stand)
        change = min(target, purchase.credits) - purchase.back
        purchase.back += change
        if change > 0:
            self.claw_back(purchase, change, now)
        elif change < 0:
            self.post("clawback_reversal", -change, now)
            for _ in range(-change):
                self.give(purchase.taken.pop())
            self.cover_debt()
            self.expire_what_came_back(now)

    def claw_back(self, purchase: Purchase, amount: int, now: datetime) -> None:
        self.post("clawback", -amount, now)
        while purchase.lot and purchase.lot.free and amount:
            purchase.lot.free -= 1
            purchase.taken.append(purchase.lot)
            amount -= 1
        self.rest -= amount
        purchase.taken += [None] * amount
        self.cover_debt()
