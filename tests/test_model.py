"""Every operation of the ledger, in any order and at any time, against the model in tests/model.py.

Hypothesis writes the stories. The model hears each step at once; the database hears the whole story in one call, in a
transaction that is rolled back, and answers after each step what the step returned and what every reader would see
then. At the end it has swept everything, and the ledgers must be equal row by row. A divergence is shrunk, and told
with the SQL that leads to it. `make test` plays 5,000 steps, the same ones each time, and `make soak` 200,000 others.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

import psycopg
import pytest
from conftest import Templates
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from model import Account, Grant, Hold, Lot, Notice, Purchase, Refused, Row, end_grant, period_end, set_grant

SEED = os.environ.get("SEED", "1")
STEPS = int(os.environ.get("STEPS", "5000"))
STEPS_A_STORY = int(os.environ.get("STORY", "40"))
SIGNUP_BONUS = 3
PRODUCTS: dict[str, tuple[int, timedelta | None]] = {"pack": (20, None), "season": (20, timedelta(days=1))}
STARTS = tuple(
    datetime.fromisoformat(at).replace(tzinfo=UTC)
    for at in ("2027-03-15T10:00:00", "2028-02-28T23:59:58", "2026-12-31T22:00:00", "2027-01-30T00:00:00")
)

# the database ---------------------------------------------------------------------------------------------------------

SETUP = """
  set model.now = '2026-01-01 00:00+00';
  create schema model;
  create or replace function credits_private.now()
    returns timestamptz language plpgsql volatile set search_path = ''
  as $$
  begin
    return current_setting('model.now')::timestamptz;
  end
  $$;
  create function model.hold(p_user uuid, p_name text) returns uuid language plpgsql as $$
  begin
    return coalesce(
      (select h.id from public.credit_holds as h where h.user_id = p_user and h.description = p_name), gen_random_uuid()
    );
  end
  $$;
  -- what an event does that takes a refund back
  create function model.reverse(p_transaction text, p_refund text) returns jsonb language plpgsql as $$
  declare
    v_fact credits_private.store_fact;
  begin
    v_fact.kind := 'reversal';
    v_fact.store := 'play_store';
    v_fact.environment := 'PRODUCTION';
    v_fact.transaction_ids := array[p_transaction];
    v_fact.names := '{}';
    v_fact.stage := 1;
    v_fact.ref := p_refund;
    perform credits_private.record_fact(v_fact);
    return (select to_jsonb(p) from public.purchase_transactions as p where p.transaction_id = p_transaction);
  end
  $$;
  create function model.maintain(p_items integer) returns jsonb language plpgsql as $$
  declare
    v_report public.maintenance_report;
    v_sum public.maintenance_report := row(0, 0, 0, 0, 0, 0);
  begin
    loop
      v_report := public.run_maintenance(p_items);
      v_sum.expirations := v_sum.expirations + v_report.expirations;
      v_sum.holds := v_sum.holds + v_report.holds;
      v_sum.grants := v_sum.grants + v_report.grants;
      exit when v_report.accounts = 0;
    end loop;
    return to_jsonb(v_sum);
  end
  $$;
  -- ids in the order of making: where SQL goes by the id, because two of a kind are of one instant, the model knows how
  create sequence model.ids;
  create function model.number() returns trigger language plpgsql as $$
  begin
    new.id := lpad(nextval('model.ids')::text, 32, '0');
    return new;
  end
  $$;
  create trigger number before insert on public.credit_holds for each row execute function model.number();
  create trigger number before insert on credits_private.outbox for each row execute function model.number();
  select credits_private.set_product('any', 'pack', 20, 0, 0, null, null, null, null, null, null);
  select credits_private.set_product('any', 'season', 20, 0, 0, null, null, null, '1 day', null, null);
  -- what every reader sees of these users now, swept or not
  create function model.look(p_users uuid[]) returns jsonb language sql as $$
    select jsonb_agg(
      jsonb_build_array(
        c.credits_remaining, c.credits_held, public.credits_available(c), public.credits_available(a), c.total_credits,
        c.used_credits, c.last_bonus_date,
        public.get_balance_at_for(u.id, credits_private.now()), c.monthly_bonus_credits
      )
      order by u.n
    )
    from unnest(p_users) with ordinality as u (id, n)
    cross join lateral public.get_user_credits_for(u.id) as c
    join public.user_credits as a on a.user_id = u.id
  $$;
  create function model.play(p_steps jsonb) returns jsonb language plpgsql set timezone = 'UTC' as $$
  declare
    v_step jsonb;
    v_answer jsonb;
    v_detail text;
    v_answers jsonb[] := '{}';
  begin
    for v_step in select s.step from jsonb_array_elements(p_steps) with ordinality as s (step, n) order by s.n loop
      perform set_config('model.now', v_step ->> 'at', true);
      begin
        execute v_step ->> 'sql' into v_answer;
      exception
        when others then
          get stacked diagnostics v_detail = pg_exception_detail;
          v_answer := jsonb_build_object('refused', sqlerrm, 'sqlstate', sqlstate, 'detail', v_detail);
      end;
      v_answers := v_answers || jsonb_build_array(
        v_answer, model.look(array(select u::uuid from jsonb_array_elements_text(v_step -> 'users') as u))
      );
    end loop;
    return to_jsonb(v_answers);
  end
  $$;
"""


def written(value: object) -> Any:
    """A value as it stands in JSON from Postgres."""
    if isinstance(value, datetime):
        head, dot, tail = value.replace(tzinfo=None).isoformat().partition(".")
        return f"{head}{dot}{tail.rstrip('0')}+00:00"
    if isinstance(value, Mapping):
        return {name: written(each) for name, each in value.items()}
    if isinstance(value, list):
        return [written(each) for each in value]
    return value


def differs(wanted: Any, got: Any) -> bool:
    """An object may hold more than the model speaks of; whatever else must be equal."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return any(name not in got or differs(value, got[name]) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(got, list):
        return len(wanted) != len(got) or any(differs(*pair) for pair in zip(wanted, got, strict=True))
    return bool(wanted != got)


def literal(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, timedelta):
        return f"interval '{value.total_seconds():.6f} s'"
    return f"'{value.isoformat() if isinstance(value, datetime) else value}'"


def call(function: str, **arguments: object) -> str:
    given = ", ".join(f"{name} => {literal(value)}" for name, value in arguments.items())
    return f"select to_jsonb(r) from public.{function}({given}) as r"


@dataclass(frozen=True)
class Step:
    at: datetime
    sql: str
    wanted: Any
    users: tuple[str, ...]
    look: list[Any]


class Arena:
    """The database of the stories, and how much was played in it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection, self.steps, self.stories = connection, 0, 0

    def play(self, story: list[Step], steps: int) -> None:
        """Raises where the database answers or shows anything but what the model does. Counts the first steps only."""
        self.stories += 1
        text = json.dumps([{"at": step.at.isoformat(), "sql": step.sql, "users": step.users} for step in story])
        ids = {slot: str(uuid4()) for slot in set(re.findall(r"~\d\.\d+~", text))}
        for slot, id in ids.items():
            text = text.replace(slot, id)
        with self.connection.transaction(force_rollback=True):
            row = self.connection.execute("select model.play(%s)::text", [text], prepare=True).fetchone()
            assert row
        answer = row[0]
        for slot, id in ids.items():
            answer = answer.replace(id, slot)
        for n, (step, (got, seen)) in enumerate(zip(story, json.loads(answer), strict=True)):
            if differs(step.wanted, got):
                raise Divergence(story[: n + 1], "answer", step.wanted, got)
            if differs(step.look, seen or []):
                raise Divergence(story[: n + 1], f"reads of {', '.join(step.users)}", step.look, seen)
        self.steps += steps


class Divergence(AssertionError):
    def __init__(self, story: list[Step], what: str, wanted: object, got: object) -> None:
        told = [f"  /* {step.at.isoformat()} */ {step.sql};" for step in story]
        super().__init__("\n".join(["", *told, f"the {what}:", f"  model:    {wanted}", f"  database: {got}"]))


# the stories ----------------------------------------------------------------------------------------------------------

DELAYS = st.sampled_from([timedelta(**{unit: n}) for unit, n in (
    ("microseconds", 1), ("minutes", 1), ("minutes", 16), ("hours", 1), ("hours", 7), ("days", 1), ("days", 2),
    ("days", 16), ("days", 33),
)])  # fmt: skip
LIFETIMES = st.sampled_from([timedelta(**{unit: n}) for unit, n in (
    ("minutes", 10), ("hours", 5), ("days", 1), ("days", 10), ("days", 30),
)])  # fmt: skip
EXPIRIES = LIFETIMES | LIFETIMES | st.sampled_from([timedelta(0), timedelta(microseconds=-1), timedelta(days=40)])
SLOTS = st.sampled_from([0, 0, 0, 1, 1, 2])
AMOUNTS = st.integers(1, 12) | st.sampled_from(["all", "one too many", "half"])
GIFTS = st.integers(1, 40)
ENTITLEMENTS = st.sampled_from(["gold", "gold", "silver"])
FIGURES = st.tuples(st.integers(4, 6), st.sampled_from(["day", "week", "month"]), st.sampled_from([False, False, True]))
T = TypeVar("T")


def seq_of(row: Row) -> int:
    return row.seq


@dataclass(frozen=True)
class Done:
    """A call that was answered: what it made (a seq, or the name of a hold or purchase), and how to make it again."""

    slot: int
    user: str
    what: Any
    sql: str
    wanted: Any
    key: str | None = None

    def __repr__(self) -> str:
        return f"{self.what} of {self.user}"


def ledger_row(row: Row) -> dict[str, Any]:
    return {
        "seq": row.seq, "type": row.type, "amount": row.amount, "balance_after": row.balance_after,
        "created_at": row.at,
    }  # fmt: skip


def lot_row(lot: Lot) -> dict[str, Any]:
    return {"seq": lot.seq, "remaining": lot.free, "expires_at": lot.expires_at}


def grant_row(grant: Grant) -> dict[str, Any]:
    return {
        "name": grant.name, "entitlement": grant.entitlement, "amount": grant.amount, "period": grant.period,
        "rollover": grant.rollover, "starts_at": grant.starts_at, "ends_at": grant.ends_at,
    }  # fmt: skip


def purchase_row(purchase: Purchase) -> dict[str, Any]:
    return {"credits": purchase.credits, "refunded_credits": purchase.back, "seq": purchase.seq}


def insert(user: str, type: str, amount: int) -> str:
    return (
        f"insert into public.credit_transactions as t (user_id, type, amount) values ('{user}', '{type}', {amount})"
        " returning to_jsonb(t)"
    )


def on_hold(function: str, of: Done, **arguments: object) -> str:
    return call(function, user_id=of.user, **arguments).replace(
        "user_id =>", f"hold_id => model.hold('{of.user}', '{of.what}'), user_id =>"
    )


def hold_row(hold: Hold) -> dict[str, Any]:
    return {
        "description": hold.name, "amount": hold.amount, "status": hold.status, "captured_amount": hold.captured,
        "seq": hold.seq, "expires_at": hold.expires_at, "ended_at": hold.ended_at,
    }  # fmt: skip


class Ledger(RuleBasedStateMachine):
    """One story. The bundles hold what later steps may come back to."""

    arena: Arena
    consumptions: Bundle[Done] = Bundle("consumptions")
    holds: Bundle[Done] = Bundle("holds")
    purchases: Bundle[Done] = Bundle("purchases")
    calls: Bundle[Done] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.now = STARTS[0]
        self.story: list[Step] = []
        self.grants: list[Grant] = []
        self.notices: list[Notice] = []
        self.accounts: dict[int, Account] = {}
        self.shown: dict[str, dict[datetime, int]] = {}  # what each user was last shown at each instant
        self.generation = [0, 0, 0]
        self.names = 0

    # how a step is told

    def name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def user(self, slot: int) -> str:
        return f"~{slot}.{self.generation[slot]}~"

    def tell(self, sql: str, wanted: Any) -> None:
        """Notes what this SQL must answer, and what the accounts must look like after it."""
        look: list[Any] = []
        for slot, account in sorted(self.accounts.items()):
            seen = account.seen(self.now)
            used = -sum(row.amount for row in seen.rows if row.type in ("consumption", "refund"))
            available = seen.available
            look.append([
                seen.balance, seen.held, available, available, seen.balance + used, used, seen.last_bonus(),
                seen.balance, seen.monthly_bonus(self.now),
            ])  # fmt: skip
            self.shown.setdefault(self.user(slot), {})[self.now] = seen.balance
        users = tuple(self.user(slot) for slot in sorted(self.accounts))
        self.story.append(Step(self.now, sql, written(wanted), users, written(look)))

    def act(
        self, slot: int, do: Callable[[Account], T], shown: Callable[[T], Any], what: Callable[[T], Any], sql: str,
        key: str | None = None,
    ) -> Any:  # fmt: skip
        """Does it, and tells. What is refused leaves no trace, not even of what it found due."""
        if slot not in self.accounts:
            self.tell(sql, {"refused": "account_not_found"})
            return multiple()
        account = self.accounts[slot]
        if account.first_due(self.now):
            account = account.copy()
        try:
            made = do(account)
        except Refused as refused:
            self.tell(sql, {"refused": str(refused)})
            return multiple()
        self.accounts[slot] = account
        self.tell(sql, shown(made))
        return Done(slot, self.user(slot), what(made), sql, written(shown(made)), key)

    def lives(self, done: Done) -> bool:
        return done.slot in self.accounts and done.user == self.user(done.slot)

    # time and users

    @initialize(at=st.sampled_from(STARTS))
    def begin(self, at: datetime) -> None:
        self.now = at
        self.open(0)
        self.open(1)

    def open(self, slot: int) -> None:
        account = self.accounts[slot] = Account(slot, self.grants, self.notices)
        account.add(SIGNUP_BONUS, "signup_bonus", None, self.now)
        self.tell(f"insert into auth.users (id) values ('{self.user(slot)}') returning null", None)

    @rule(leaves=st.sampled_from([False, False, True]))
    def come_or_go(self, leaves: bool) -> None:
        if 2 not in self.accounts:
            self.open(2)
        elif leaves:
            balance = self.accounts.pop(2).seen(self.now).balance
            self.notices[:] = [notice for notice in self.notices if notice.user != 2]
            self.grants[:] = [grant for grant in self.grants if grant.user != 2]
            self.tell(call("delete_user_account_for", user_id=self.user(2)), {"credits_written_off": balance})
            self.generation[2] += 1

    @rule(delay=DELAYS)
    def wait(self, delay: timedelta) -> None:
        self.now += delay
        self.tell("select null", None)

    @rule(which=st.integers(0, 5), offset=st.sampled_from([0, 0, -1, 1]))
    def wait_until_something_falls_due(self, which: int, offset: int) -> None:
        """To the instant itself, or next to it."""
        instants = {period_end(period, self.now) for period in ("day", "week", "month")}
        instants.add(self.now + timedelta(days=1))
        for account in self.accounts.values():
            instants |= {lot.expires_at for lot in account.lots if lot.free}
            instants |= {hold.expires_at for hold in account.active()}
            instants |= {held.until for held in account.entitlements.values() if held.until}
        later = sorted(at for at in instants if at + timedelta(microseconds=offset) > self.now)
        self.now = later[which % len(later)] + timedelta(microseconds=offset)
        self.tell("select null", None)

    # credits in and out

    def so_many(self, slot: int, amount: int | str) -> int:
        """An amount, or one that stands at the edge of what this user may spend now."""
        available = self.accounts[slot].seen(self.now).available if slot in self.accounts else 1
        edges = {"all": available, "one too many": available + 1, "half": available // 2}
        return amount if isinstance(amount, int) else max(1, edges[amount])

    @rule(targets=(consumptions, calls), slot=SLOTS, amount=AMOUNTS)
    def consume(self, slot: int, amount: int | str) -> Any:
        key, amount = self.name("k"), self.so_many(slot, amount)
        sql = call("consume_credit_for", user_id=self.user(slot), amount=amount, idempotency_key=key)
        return self.act(slot, lambda account: account.consume(amount, self.now), ledger_row, seq_of, sql, key)

    @rule(target=consumptions, slot=SLOTS, amount=AMOUNTS, by_hand=st.booleans())
    def consume_without_a_key(self, slot: int, amount: int | str, by_hand: bool) -> Any:
        amount = self.so_many(slot, amount)
        sql = call("consume_credit_for", user_id=self.user(slot), amount=amount)
        if by_hand:
            sql = insert(self.user(slot), "consumption", -amount)
        return self.act(slot, lambda account: account.consume(amount, self.now), ledger_row, seq_of, sql)

    @rule(slot=SLOTS, amount=st.integers(-40, 20).filter(bool))
    def adjust_by_hand(self, slot: int, amount: int) -> None:
        def do(account: Account) -> Row:
            if amount < 0:
                return account.take(-amount, "admin_adjustment", self.now)
            return account.add(amount, "admin_adjustment", None, self.now)

        self.act(slot, do, ledger_row, seq_of, insert(self.user(slot), "admin_adjustment", amount))

    @rule(target=calls, slot=SLOTS, amount=GIFTS, type=st.sampled_from(["bonus", "admin_adjustment", "purchase"]))
    def add(self, slot: int, amount: int, type: str) -> Any:
        key = self.name("k")
        sql = call("add_credits_for", user_id=self.user(slot), amount=amount, type=type, idempotency_key=key)
        return self.act(slot, lambda account: account.add(amount, type, None, self.now), ledger_row, seq_of, sql, key)

    @rule(target=calls, slot=SLOTS, amount=GIFTS, lifetime=EXPIRIES)
    def add_with_expiry(self, slot: int, amount: int, lifetime: timedelta) -> Any:
        key, at = self.name("k"), self.now + lifetime
        sql = call("add_credits_for", user_id=self.user(slot), amount=amount, expires_at=at, idempotency_key=key)
        return self.act(slot, lambda account: account.add(amount, "bonus", at, self.now), ledger_row, seq_of, sql, key)

    @rule(target=calls, of=consumptions, amount=st.none() | st.integers(1, 12), beside=st.sampled_from([0, 0, 0, 0, 1]))
    def refund(self, of: Done, amount: int | None, beside: int) -> Any:
        """A consumption, or the row after it, which may be anything or nothing."""
        key, seq = self.name("k"), of.what + beside
        sql = call("refund_consumption_for", user_id=of.user, seq=seq, amount=amount, idempotency_key=key)
        if not self.lives(of):
            self.tell(sql, {"refused": "account_not_found"})
            return multiple()
        do = lambda account: account.refund(seq, amount, self.now)  # noqa: E731
        return self.act(of.slot, do, ledger_row, seq_of, sql, key)

    # holds

    @rule(targets=(holds, calls), slot=SLOTS, amount=AMOUNTS, lifetime=LIFETIMES)
    def reserve(self, slot: int, amount: int | str, lifetime: timedelta) -> Any:
        name, amount = self.name("h"), self.so_many(slot, amount)
        sql = call(
            "reserve_credits_for", user_id=self.user(slot), amount=amount, expires_in=lifetime, description=name,
            idempotency_key=name,
        )  # fmt: skip
        do = lambda account: account.reserve(name, amount, lifetime, self.now)  # noqa: E731
        return self.act(slot, do, hold_row, lambda hold: hold.name, sql, name)

    @rule(targets=(consumptions, calls), of=holds, amount=st.none() | st.integers(1, 12))
    def capture(self, of: Done, amount: int | None) -> Any:
        key = self.name("k")
        sql = on_hold("capture_hold_for", of, amount=amount, idempotency_key=key)
        if not self.lives(of):
            self.tell(sql, {"refused": "account_not_found"})
            return multiple()
        do = lambda account: account.capture(of.what, amount, self.now)  # noqa: E731
        return self.act(of.slot, do, ledger_row, seq_of, sql, key)

    @rule(of=holds)
    def release(self, of: Done) -> None:
        sql = on_hold("release_hold_for", of)
        if self.lives(of):
            self.act(of.slot, lambda account: account.release(of.what, self.now), hold_row, lambda hold: hold.name, sql)
        else:
            self.tell(sql, {"refused": "account_not_found"})

    # purchases

    @rule(target=purchases, slot=SLOTS, product=st.sampled_from(sorted(PRODUCTS)))
    def buy(self, slot: int, product: str) -> Any:
        name = self.name("t")
        sql = call(
            "record_purchase_for", user_id=self.user(slot), store="play_store", transaction_id=name, product_id=product
        )
        do = lambda account: account.buy(name, *PRODUCTS[product], self.now)  # noqa: E731
        return self.act(slot, do, purchase_row, lambda _: name, sql)

    @rule(of=purchases)
    def tell_of_a_purchase_again(self, of: Done) -> None:
        if self.lives(of):
            self.tell(of.sql, purchase_row(self.accounts[of.slot].purchases[of.what]))

    @rule(of=purchases, refund=st.sampled_from("abc"), credits=st.none() | st.integers(1, 20))
    def refund_purchase(self, of: Done, refund: str, credits: int | None) -> None:
        sql = call("refund_purchase", store="play_store", transaction_id=of.what, refund_id=refund, credits=credits)
        if self.lives(of):
            do = lambda account: account.refund_purchase(of.what, refund, credits, self.now)  # noqa: E731
            self.act(of.slot, do, purchase_row, lambda _: None, sql)

    @rule(of=purchases, refund=st.sampled_from("abc"))
    def reverse_a_refund(self, of: Done, refund: str) -> None:
        """As a store's event does: there is no call for it."""
        sql = f"select model.reverse('{of.what}', '{refund}')"
        if self.lives(of):
            do = lambda account: account.reverse(of.what, refund, self.now)  # noqa: E731
            self.act(of.slot, do, purchase_row, lambda _: None, sql)

    # what comes again, and who looks after it

    @rule(slot=SLOTS, name=st.sampled_from(["daily", "plan"]), grant=FIGURES)
    def set_grant(self, slot: int, name: str, grant: tuple[int, str, bool]) -> None:
        amount, period, rollover = grant
        sql = call(
            "set_recurring_grant", name=name, amount=amount, period=period, user_id=self.user(slot), rollover=rollover
        )

        def do(account: Account) -> Grant:
            for old in self.grants:
                if (old.user, old.name, old.ends_at) == (slot, name, None) and (
                    old.amount,
                    old.period,
                    old.rollover,
                ) == grant:
                    return old  # the same again changes nothing, and writes nothing either
            account.settle(self.now)
            return set_grant(self.grants, Grant(slot, name, None, amount, period, rollover, self.now), self.now)

        self.act(slot, do, grant_row, lambda grant: grant.name, sql)

    @rule(name=st.sampled_from(["plan", "plan", "pro"]), grant=FIGURES, entitlement=ENTITLEMENTS)
    def set_grant_for_holders(self, name: str, grant: tuple[int, str, bool], entitlement: str) -> None:
        amount, period, rollover = grant
        sql = call(
            "set_recurring_grant", name=name, amount=amount, period=period, entitlement=entitlement, rollover=rollover
        )
        new = Grant(None, name, entitlement, amount, period, rollover, self.now)
        self.tell(sql, grant_row(set_grant(self.grants, new, self.now)))

    @rule(slot=SLOTS, name=st.sampled_from(["daily", "plan"]), of_holders=st.booleans())
    def end_grant(self, slot: int, name: str, of_holders: bool) -> None:
        def do(account: Account) -> Grant:
            account.settle(self.now)
            return end_grant(self.grants, slot, name, self.now)

        if of_holders:
            sql = call("end_recurring_grant", name="plan")
            try:
                self.tell(sql, grant_row(end_grant(self.grants, None, "plan", self.now)))
            except Refused as refused:
                self.tell(sql, {"refused": str(refused)})
        else:
            sql = call("end_recurring_grant", name=name, user_id=self.user(slot))
            self.act(slot, do, grant_row, lambda grant: grant.name, sql)

    @rule(slot=SLOTS, entitlement=ENTITLEMENTS, lasts=st.none() | LIFETIMES | st.just(timedelta(0)))
    def entitle(self, slot: int, entitlement: str, lasts: timedelta | None) -> None:
        until = None if lasts is None else self.now + lasts
        sql = call("grant_entitlement_for", user_id=self.user(slot), entitlement=entitlement, active_until=until)
        self.act(
            slot,
            lambda account: account.entitle(entitlement, until, self.now),
            lambda held: {"active_until": held.until, "active_since": held.since},
            lambda held: None,
            sql,
        )
        # whether its first grant is written with it or later is left open, and decides what can be missed
        for account in self.accounts.values():
            account.settle(self.now)
        self.tell("select null from model.maintain(1000)", None)

    @rule(batches=st.booleans())
    def maintain(self, batches: bool) -> None:
        wanted = {"expirations": 0, "holds": 0, "grants": 0}
        for account in self.accounts.values():
            rows, holds = len(account.rows), len(account.active())
            account.settle(self.now)
            new = [row.type for row in account.rows[rows:]]
            wanted["expirations"] += new.count("expiration")
            wanted["grants"] += len(new) - new.count("expiration")
            wanted["holds"] += holds - len(account.active())
        self.tell(f"select model.maintain({1 if batches else 1000})", wanted)

    @rule(slot=SLOTS, when=st.integers(0, 40) | DELAYS)
    def look_back(self, slot: int, when: int | timedelta) -> None:
        """What was shown at an instant is what was so, ever after."""
        if slot in self.accounts:
            if isinstance(when, int):
                shown = list(self.shown[self.user(slot)].items())
                at, balance = shown[when % len(shown)]
            else:
                at, balance = self.now - when, self.accounts[slot].balance_at(self.now - when)
            self.tell(call("get_balance_at_for", user_id=self.user(slot), at=at), balance)

    # notices

    @rule(slot=SLOTS, less=st.none() | st.integers(-2, 5))
    def set_alert(self, slot: int, less: int | None) -> None:
        """So much below what there is now."""
        below = None if less is None or slot not in self.accounts else self.accounts[slot].seen(self.now).balance - less

        def do(account: Account) -> Account:
            account.alert_below = below
            return account

        sql = call("set_alert_for", user_id=self.user(slot), alert_below=below)
        self.act(slot, do, lambda account: {"alert_below": below}, lambda account: None, sql)

    @precondition(lambda self: self.notices)
    @rule(most=st.sampled_from([1, 100]), acknowledges=st.booleans())
    def work_on_notices(self, most: int, acknowledges: bool) -> None:
        waiting = [notice for notice in self.notices if notice.claimable_at <= self.now]
        claimed = sorted(waiting, key=lambda notice: notice.claimable_at)[:most]
        for notice in claimed:
            notice.claimable_at, notice.attempts = self.now + timedelta(minutes=5), notice.attempts + 1
        items = [
            {"kind": "low_balance", "user_id": self.user(n.user), "payload": n.payload, "attempts": n.attempts}
            for n in sorted(claimed, key=lambda notice: notice.at)
        ]
        self.tell(f"select jsonb_agg(to_jsonb(i)) from public.claim_outbox({most}) as i", items or None)
        if acknowledges:
            done = [notice for notice in self.notices if notice.attempts]
            self.notices[:] = [notice for notice in self.notices if not notice.attempts]
            ids = "select o.id from credits_private.outbox as o where o.attempts > 0"
            self.tell(f"select to_jsonb(public.ack_outbox(array({ids})))", len(done))

    # keys

    @rule(call=calls)
    def call_again(self, call: Done) -> None:
        """However much later: the first answer, and nothing moves. Of a hold the row as it stands."""
        if not self.lives(call):
            self.tell(call.sql, {"refused": "account_not_found"})
        elif "reserve_credits_for" in call.sql:
            self.tell(call.sql, hold_row(self.accounts[call.slot].seen(self.now).hold(call.what)))
        else:
            self.tell(call.sql, call.wanted)

    @rule(of=calls, which=st.sampled_from(["consume", "add", "reserve"]))
    def use_the_key_for_something_else(self, of: Done, which: str) -> None:
        function = {"consume": "consume_credit_for", "add": "add_credits_for", "reserve": "reserve_credits_for"}[which]
        sql = call(function, user_id=of.user, amount=999, idempotency_key=of.key)
        self.tell(sql, {"refused": "idempotency_key_reused" if self.lives(of) else "account_not_found"})

    # the end

    def teardown(self) -> None:
        if not self.story:
            return
        steps = len(self.story)
        self.maintain(batches=False)
        for slot, account in self.accounts.items():
            user = f"user_id = '{self.user(slot)}'"
            self.tell(
                f"select jsonb_agg(to_jsonb(t) order by t.seq) from public.credit_transactions as t where t.{user}",
                [ledger_row(row) for row in account.rows],
            )
            self.tell(
                f"select jsonb_agg(to_jsonb(h) order by h.id) from public.credit_holds as h where h.{user}",
                [hold_row(hold) for hold in account.holds] or None,
            )
            self.tell(
                "select jsonb_agg(to_jsonb(l) order by l.seq) from credits_private.credit_lots as l"
                f" where l.{user} and l.remaining > 0",
                [lot_row(lot) for lot in account.lots if lot.free] or None,
            )
        notices = [{"user_id": self.user(n.user), "payload": n.payload, "attempts": n.attempts} for n in self.notices]
        self.tell("select jsonb_agg(to_jsonb(o) order by o.id) from credits_private.outbox as o", notices or None)
        self.tell("select jsonb_agg(to_jsonb(v)) from credits_private.verify_ledger(null) as v", None)
        self.arena.play(self.story, steps)


def play(arena: Arena, stories: int, seed_of: str) -> None:
    """So many stories of STEPS_A_STORY steps; the same ones for the same seed."""
    Ledger.arena = arena
    run_state_machine_as_test(
        seed(seed_of)(Ledger),
        settings=settings(
            max_examples=stories,
            stateful_step_count=STEPS_A_STORY,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            report_multiple_bugs=False,
        ),
    )


@pytest.fixture(scope="module")
def arena(templates: Templates) -> Iterator[Arena]:
    with templates.clone("plain") as database, database.connect() as connection:
        connection.execute(SETUP)
        yield Arena(connection)


def test_the_ledger_does_what_the_model_does(arena: Arena) -> None:
    started = time.monotonic()
    while arena.steps < STEPS:
        played = arena.steps
        play(arena, 50, f"{SEED}.{arena.stories}")
        assert arena.steps > played
        arena.connection.execute("vacuum")  # of what was rolled back
    speed = arena.steps / (time.monotonic() - started)
    print(f"\n{arena.steps:,} steps in {arena.stories:,} stories, no divergence, {speed:,.0f} steps/s, SEED={SEED}")


# function, what stands in it, what is put there instead, and a story that must diverge then
MINUTES, DAY = timedelta(minutes=10), timedelta(days=1)
FAULTS: dict[str, tuple[str, str, str, Callable[[Ledger], object]]] = {
    "the lot that lasts longest is burned first": (
        "draw_lots",
        "by s.expires_at,",
        "by s.expires_at desc,",
        lambda s: (s.add_with_expiry(0, 5, DAY), s.add_with_expiry(0, 5, MINUTES), s.consume(0, 5)),
    ),
    "what expired is still there to spend": (
        "spend",
        "and (a.next_due_at is null or a.next_due_at > credits_private.now())",
        "",
        lambda s: (s.add_with_expiry(0, 5, MINUTES), s.wait(DAY), s.consume(0, 5)),
    ),
    "what expired is still shown": (
        "read_account",
        "elsif v_account.next_due_at <= v_now or",
        "elsif false and v_account.next_due_at <= v_now or",
        lambda s: (s.add_with_expiry(0, 5, MINUTES), s.wait(DAY)),
    ),
    "what is held is spent by others": (
        "spend",
        "and a.credits_remaining - a.credits_held >= p_amount",
        "and a.credits_remaining >= p_amount",
        lambda s: (s.reserve(0, 2, DAY), s.consume(0, 2)),
    ),
    "a refund never expires": (
        "give_back",
        "least(v_left, greatest(v_part, 0))",
        "v_left",
        lambda s: (s.add_with_expiry(0, 5, DAY), s.refund(s.consume(0, 5), None, 0)),
    ),
    "a capture forgets the rest": (
        "end_hold",
        "if v_part < v_lot.amount then",
        "if v_part < v_lot.amount and p_status <> 'captured' then",
        lambda s: (s.add_with_expiry(0, 5, DAY), s.capture(s.reserve(0, 5, DAY), 2)),
    ),
    "a release brings expired credits back to life": (
        "release_hold",
        "perform credits_private.expire_lots(p_user_id, v_hold.ended_at, v_hold.ended_at, null)",
        "perform 1",
        lambda s: (s.add_with_expiry(0, 5, MINUTES), (h := s.reserve(0, 5, 3 * DAY)), s.wait(DAY), s.release(h)),
    ),
    "a grant comes twice a period": (
        "find_grants",
        "to_char(b.period at",
        "to_char(p_at at",
        lambda s: (s.set_grant(0, "plan", (5, "week", False)), s.consume(0, 1), s.wait(DAY)),
    ),
    "a grant is forgotten": (
        "find_grants",
        "s.at <= p_at",
        "s.at < p_at - interval '1 hour'",
        lambda s: s.set_grant(0, "plan", (5, "week", False)),
    ),
    "lots leave debts alone": (
        "cover_debt",
        "if v_debt <= 0 then",
        "if true then",
        lambda s: (s.add_with_expiry(0, 5, DAY), s.adjust_by_hand(0, -6)),
    ),
    "a clawback spares the lot that was bought": (
        "adjust_purchase",
        "if v_lot.seq is not null then",
        "if false then",
        lambda s: (s.add(0, 40, "bonus"), s.refund_purchase(s.buy(0, "season"), "a", None)),
    ),
    "what expired of a refunded purchase is taken twice": (
        "adjust_purchase",
        "if v_expired > 0 then",
        "if false then",
        lambda s: ((p := s.buy(0, "season")), s.wait(2 * DAY), s.refund_purchase(p, "a", None)),
    ),
    "a notice comes with every spend below": (
        "spend",
        "and v_alert <= v_balance + p_amount",
        "",
        lambda s: (s.set_alert(0, 1), s.consume(0, 2), s.consume(0, 1)),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(arena: Arena, fault: str) -> None:
    function, there, instead, story = FAULTS[fault]

    def tell() -> None:
        Ledger.arena = arena
        ledger = Ledger()
        ledger.begin(STARTS[0])
        story(ledger)
        ledger.teardown()

    tell()
    with arena.connection.transaction(force_rollback=True):
        row = arena.connection.execute(
            "select pg_get_functiondef(p.oid) from pg_proc as p"
            " where p.pronamespace = 'credits_private'::regnamespace and p.proname = %s",
            [function],
        ).fetchone()
        assert row
        assert there in row[0], "the function has changed: plant the fault anew"
        arena.connection.execute(row[0].replace(there, instead).encode())
        with pytest.raises(Divergence) as found:
            tell()
        assert "syntax" not in str(found.value)
