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
    expired: int = 0


Taken = Lot | None  # where one credit came from; None: from those that never expire


@dataclass
class Row:
    seq: int
    type: str
    amount: int
    balance_after: int
    at: datetime
    taken: list[Taken] = field(default_factory=list)  # what a consumption has not given back yet, soonest expiry first


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

    user: int | None
    name: str
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
    at: datetime
    claimable_at: datetime
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


def in_order(taken: list[Taken]) -> None:
    """As they are drawn: the soonest expiry first, what never expires last."""
    taken.sort(key=lambda coin: (1,) if coin is None else (0, *soonest(coin)))


class Account:
    def __init__(self, user: int, grants: list[Grant], notices: list[Notice]) -> None:
        self.user, self.grants, self.notices = user, grants, notices
        self.rows: list[Row] = []
        self.rest = 0
        self.lots: list[Lot] = []
        self.holds: list[Hold] = []
        self.purchases: dict[str, Purchase] = {}
        self.entitlements: dict[str, Held] = {}
        self.granted: set[tuple[object, ...]] = set()
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
            self.notices.append(Notice(self.user, payload, at, at))
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

    def cover_debt(self, taken: list[Taken] | None = None) -> None:
        """Credits that would expire pay what is owed, first the free ones, then those that holds have set aside.

        So whoever made the debt took them, and not credits that never expire.
        """
        paid: list[Taken] = []
        for lot in sorted(self.lots, key=soonest):
            while self.rest < 0 and lot.free:
                lot.free -= 1
                self.rest += 1
                paid.append(lot)
        backing = [(soonest(lot), n, hold, lot) for n, hold in enumerate(self.holds) for lot in hold.coins]
        for _, _, hold, lot in sorted(backing, key=lambda coin: coin[:2]):
            if self.rest < 0:
                hold.coins.remove(lot)
                self.rest += 1
                paid.append(lot)
        if taken is not None:
            for coin in paid:
                taken.remove(None)
                taken.append(coin)
            in_order(taken)

    def expire(self, lot: Lot, at: datetime) -> None:
        amount, lot.free = lot.free, 0
        lot.expired += amount
        self.post("expiration", -amount, at)

    def expire_what_came_back(self, now: datetime) -> None:
        for lot in sorted(self.lots, key=soonest):
            if lot.free and lot.expires_at <= now:
                self.expire(lot, now)

    # time

    def key(self, grant: Grant, at: datetime) -> tuple[object, ...]:
        return grant.user is None, grant.name, grant.period, period_start(grant.period, at)

    def instant(self, grant: Grant, now: datetime) -> datetime | None:
        """When a grant of the present period counts for this user, if it does and is not written yet."""
        at = max(period_start(grant.period, now), grant.starts_at)
        until = [grant.ends_at]
        if grant.user is None:
            held = self.entitlements.get(grant.entitlement or "")
            if held is None:
                return None
            at = max(at, held.since)
            until.append(held.until)
        elif grant.user != self.user:
            return None
        if self.key(grant, now) in self.granted or any(end is not None and end <= at for end in until):
            return None
        return at

    def first_due(self, now: datetime) -> tuple[datetime, Lot | Hold | Grant] | None:
        due: list[tuple[datetime, int, tuple[object, ...], Lot | Hold | Grant]] = []
        due += [(lot.expires_at, 0, soonest(lot), lot) for lot in self.lots if lot.free and lot.expires_at <= now]
        holds = [(n, hold) for n, hold in enumerate(self.holds) if hold.status == "active"]
        due += [(hold.expires_at, 1, (n,), hold) for n, hold in holds if hold.expires_at <= now]
        for grant in self.grants:
            at = self.instant(grant, now)
            if at is not None and at <= now:
                due.append((at, 2, (grant.user is not None, grant.name, grant.period), grant))
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
        self.granted.add(self.key(grant, at))
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

    def copy(self) -> Account:
        return copy.deepcopy(self, {id(self.grants): self.grants, id(self.notices): self.notices})

    def seen(self, now: datetime) -> Account:
        """The account as a read at this instant must show it, whatever was written by then."""
        if not self.first_due(now):
            return self
        found = self.copy()
        found.settle(now)
        return found

    def balance_at(self, at: datetime) -> int:
        """The ledger up to then, and what had fallen due by then."""
        written = next((row.balance_after for row in reversed(self.rows) if row.at <= at), 0)
        return written + sum(row.amount for row in self.seen(at).rows[len(self.rows) :])

    def monthly_bonus(self, now: datetime) -> int:
        """What the monthly grants that are in force come to."""
        total = 0
        for grant in self.grants:
            held = self.entitlements.get(grant.entitlement or "")
            mine = grant.user == self.user or (held and held.since <= now and (held.until is None or held.until > now))
            if (
                grant.period == "month"
                and mine
                and grant.starts_at <= now
                and (not grant.ends_at or grant.ends_at > now)
            ):
                total += grant.amount
        return total

    def last_bonus(self) -> datetime | None:
        return next((row.at for row in reversed(self.rows) if row.type == "monthly_bonus"), None)

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
        self.expire_what_came_back(now)
        self.cover_debt(row.taken)
        return row

    def release(self, name: str, now: datetime) -> Hold:
        if self.hold(name).status == "active":
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
        stand = [credits for refund, credits in purchase.refunds.items() if refund not in purchase.reversed]
        target = sum(purchase.credits if credits is None else credits for credits in stand)
        change = min(target, purchase.credits) - purchase.back
        if change == 0:
            return
        self.settle(now)
        purchase.back += change
        if change > 0:
            self.claw_back(purchase, change, now)
        else:
            self.post("clawback_reversal", -change, now)
            for _ in range(-change):
                self.give(purchase.taken.pop())
            self.cover_debt()
            self.expire_what_came_back(now)

    def claw_back(self, purchase: Purchase, amount: int, now: datetime) -> None:
        lot = purchase.lot
        if lot and lot.expired:
            again = min(lot.expired, amount)  # or they would be taken twice
            lot.expired -= again
            lot.free += again
            self.post("admin_adjustment", again, now)
        self.post("clawback", -amount, now)
        for _ in range(amount):
            if lot and lot.free:
                lot.free -= 1
                purchase.taken.append(lot)
            elif lot and (hold := next((hold for hold in self.holds if lot in hold.coins), None)):
                hold.coins.remove(lot)  # it stays, and stands on credits that never expire
                purchase.taken.append(lot)
            else:
                self.rest -= 1
                purchase.taken.append(None)
        in_order(purchase.taken)
        self.cover_debt(purchase.taken)

    # what falls due later

    def entitle(self, entitlement: str, until: datetime | None, now: datetime) -> Held:
        if entitlement not in self.entitlements:
            self.entitlements[entitlement] = Held(now, until)
        self.settle(now)  # what begins at one instant comes in the order of its name
        held = self.entitlements[entitlement]
        if held.until is not None and held.until <= now and held.until != until:
            held.since = now
        held.until = until
        return held


def set_grant(grants: list[Grant], new: Grant, now: datetime) -> Grant:
    """Puts a recurring grant in force: at once, or when the present period of the one with its name is over."""
    old = max((g for g in grants if (g.user, g.name) == (new.user, new.name)), key=lambda g: g.starts_at, default=None)
    figures = [(g.entitlement, g.amount, g.period, g.rollover) for g in (old, new) if g]
    if old is None:
        pass
    elif figures[0] == figures[1] and old.ends_at is None:
        return old
    elif old.starts_at > now:
        grants.remove(old)
        new.starts_at = old.starts_at
    elif old.ends_at is None or old.ends_at > now:
        new.starts_at = old.ends_at = period_end(old.period, now)
    elif old.starts_at == now:
        grants.remove(old)  # it has begun and ended at this very instant
    grants.append(new)
    return new


def end_grant(grants: list[Grant], user: int | None, name: str, now: datetime) -> Grant:
    named = [grant for grant in grants if (grant.user, grant.name) == (user, name)]
    found = [g for g in named if g.starts_at <= now and (g.ends_at is None or g.ends_at > now)]
    if not found:
        raise Refused("grant_not_found")
    for grant in named:
        if grant.starts_at > now:
            grants.remove(grant)
    found[0].ends_at = now
    return found[0]
