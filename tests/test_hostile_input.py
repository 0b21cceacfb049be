"""Whatever is sent, the answer is a result or a refusal, soon, and the books add up.

Every argument of every function that the package has in public, with values made to break it: a fixed list, one
argument at a time and all at once, and what Hypothesis comes up with. Values travel as text, as PostgREST sends
them, or as raw bytes where no text could hold them.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
import pytest
from conftest import ROOT, Database, Templates, assert_books_add_up
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.pq import ExecStatus, Format

Value: TypeAlias = str | bytes | None  # bytes go over the wire as they are, in the binary form of the type

REFUSALS = {"PT401", "PT402", "PT404", "PT409", "PT410", "PT413", "PT422", "PT429", "22023"}
# before our code; 2202E is an array whose bounds Postgres 15 cannot read
PARSING = {"22P02", "22003", "22P05", "22021", "22007", "22008", "22009", "22015", "2202E", "54000", "54001"}
SECONDS = 1.0
LIMIT = "-c statement_timeout=3s"  # a call that never ends is 57014, which is no refusal
PRINTED = 16384
OIDS = {"text": 25, "json": 114, "jsonb": 3802}

NUMBERS = [
    "0", "-0", "-1", "1", "2", "3", "501", "2147483647", "2147483648", "-2147483648", "-2147483649", "1000000000000",
    "1000000000001", "9007199254740991", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "-9223372036854775809", str(2**70), "1" + "0" * 5000, "NaN", "Infinity", "-Infinity", "1.5", "1e3", "0x10", "1_000",
    "", " ", " 7 ", "true", "null", "[]", "{}", "\u0661\u0662", "\uff11", "1; select 1", "' or 1=1 --", "$1", "\\",
    "+", "--1",
]  # fmt: skip
TEXTS: list[Value] = [
    "", " ", "k", "x" * 500, "x" * 501, "k" * 255, "k" * 256, "é" * 255, "🪙" * 255, "k" * 10_000,
    "".join(chr(33 + (n * 7919) % 90) for n in range(10_000)), "credits:", "credits:signup_bonus", "CREDITS:x",
    "credits\u200b:x", "\u0441redits:x", " credits:x", "\ufeffcredits:x", "\u202esderc", "a\u0301", "\u00e1",
    "\uffff", "\U0010ffff",
    "'; drop table public.user_credits; --", "\\'; select pg_sleep(9); --", "%s %(x)s {0} $1 :x ?", "\n\r\t\x01\x7f",
    "null", "NULL", "\\N", "$$", "first",
    b"a\x00b", b"\x00", b"\xed\xa0\x80", b"\xff\xfe", b"\xc0\x80", b"\xf4\x90\x80\x80",
]  # fmt: skip
BOMB = ", ".join(["1e131071"] * 300)
JSONS: list[Value] = [
    "{}", "[]", "null", "true", "1", '"x"', "", " ", "{", "}", "{]", "{'a': 1}", '{"a": NaN}', '{"a": 1e400000}',
    '{"a": 1,}', '{"a": 1} {"b": 2}', '{"a": 1, "a": 2}', '{"": ""}', '{"a": "\\u0000"}', '{"a": "\\ud800"}',
    '{"a": "\\udc00\\ud800"}', '{"a": "\\ud83e\\udd99"}', b'\x01{"a": "\x00"}', b'\x01{"a": "\xed\xa0\x80"}',
    b"\x01", b"\x01{", '{"a": "' + "x" * 4000 + '"}',
    '{"a": "' + "x" * 4097 + '"}', '{"a": "' + "x" * 5_000_000 + '"}', '{"a": "' + "🪙" * 1000 + '"}',
    '{"a": ' + "[" * 500 + "]" * 500 + "}", "[" * 100_000 + "]" * 100_000, '{"a":' * 50_000 + "1" + "}" * 50_000,
    '{"a": ' + "[" * 100_000, json.dumps({f"k{n}": n for n in range(100_000)}),
    json.dumps({str(n): n for n in range(200)}),
    '{"a": 1e131071}', '{"a": -1e131071}', '{"a": 1e-16383}', '{"a": 1e308}', '{"a": 1.0000000000000000000001}',
    f'{{"a": [{BOMB}]}}', f"[{BOMB}]", '{"a": [' + ", ".join(["-1e131071"] * 300) + "]}",
    '{"a": [' + ", ".join(["0e-16383"] * 200) + "]}", '{"a": [' + ", ".join(["1e-16383"] * 100) + "]}",
    '{"a": ' + '{"b": ' * 50 + "1e131071" + "}" * 51, '{"a": [' + ", ".join(["1e307"] * 60) + "]}",
    '{"a": "\\u200b\\u202e"}', '{"__proto__": {"x": 1}}', '{"$.**": "@.type()"}', '{"a": "\' or 1=1 --"}',
]  # fmt: skip
INSTANTS = [
    "infinity", "-infinity", "294276-12-31 23:59:59.999999+00", "294277-01-01", "4713-01-01 BC", "4714-01-01 BC",
    "epoch", "now", "today", "yesterday", "2026-02-30", "2026-01-01 25:00", "2026-01-01T00:00:00+99:99", "allballs",
    "2026-01-01 00:00:00 Mars/Olympus", "1970-01-01T00:00:00Z", "0001-01-01", "9999-12-31", "NaN", "", "null", "0",
    "2026-01-01'; select 1 --", "1e10", "20260101", "J2451187", "x" * 10_000,
]  # fmt: skip
INTERVALS = [
    "1 second", "999999 microseconds", "30 days", "30 days 1 microsecond", "1 mon", "1 mon -1 microsecond", "24:00:01",
    "1 day", "0", "-1 second", "-30 days", "2 mons -30 days", "100 years -36524 days", "178000000 years",
    "-178000000 years", "178000001 years", "infinity", "-infinity", "9223372036854775807 microseconds", "PT1H", "P1Y",
    "P-1Y", "1 hour ago", "1e10 years", "1e1000 s", "NaN", "", "null", "allballs", "now", "1", "1 fortnight",
    "'; select 1 --", "x" * 10_000,
]  # fmt: skip
PERIODS = ["day", "week", "month", "year", "DAY", " day", "", "null", "0", "x" * 10_000, "'; --", "d\u0430y"]
UUIDS = [
    "", "null", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "x", "{}", "1",
    "00000000-0000-0000-0000-00000000000g", "' or true --", "{00000000-0000-0000-0000-000000000000}", "a" * 10_000,
    "00000000000000000000000000000000", "0" * 31, " 00000000-0000-0000-0000-000000000000", "\u0660" * 32,
]  # fmt: skip
UUID_LISTS = [
    "{}", "{null}", "{NULL,NULL}", "{x}", "{", "}", "", "null", "[]", "{{}}", "{\"\"}",
    "{00000000-0000-0000-0000-000000000000}",
    "{{00000000-0000-0000-0000-000000000000},{ffffffff-ffff-ffff-ffff-ffffffffffff}}",
    "[5:5]={00000000-0000-0000-0000-000000000000}", "[2147483647:2147483648]={null,null}",
    "{" + ",".join(["00000000-0000-0000-0000-000000000000"] * 20_000) + "}", "{" * 10_000, "'; select 1 --",
]  # fmt: skip
TYPES = [
    "purchase", "signup_bonus", "monthly_bonus", "bonus", "consumption", "refund", "clawback", "clawback_reversal",
    "expiration", "admin_adjustment", "", "PURCHASE", "purchase ", "x", "null", "0", "x" * 10_000, "'; --",
    "\u0440urchase",
]  # fmt: skip
BOOLEANS: list[Value] = ["t", "off", "1", "2", "", "null", "truthy", "\uff11", "x" * 10_000]
HOSTILE: dict[str, list[Value]] = {
    "bigint": list(NUMBERS),
    "integer": list(NUMBERS),
    "text": TEXTS,
    "json": [value[1:] if isinstance(value, bytes) else value for value in JSONS],
    "jsonb": JSONS,
    "boolean": BOOLEANS,
    "timestamp with time zone": list(INSTANTS),
    "interval": list(INTERVALS),
    "uuid": list(UUIDS),
    "uuid[]": list(UUID_LISTS),
    "public.grant_period": list(PERIODS),
    "public.credit_transaction_type": list(TYPES),
}
SANE: dict[str, Value] = {
    "bigint": "1",
    "integer": "10",
    "text": None,
    "json": "{}",
    "jsonb": "{}",
    "boolean": "false",
    "timestamp with time zone": "2020-01-01T00:00:00Z",
    "interval": "1 hour",
    "uuid[]": "{}",
    "public.grant_period": "month",
    "public.credit_transaction_type": "bonus",
}
NAMED: dict[str, Value] = {  # what cannot be left out, or goes with something else
    "store": "app_store", "environment": "PRODUCTION", "transaction_id": "1", "product_id": "pack", "currency": "EUR",
    "refund_id": "refund-1", "entitlement": "pro", "provider": "stripe", "event_id": "evt_1", "name": "plan",
}  # fmt: skip


KNOWN = ("user_id", "hold_id", "seq")  # of the victim


@dataclass(frozen=True)
class Rpc:
    name: str
    arguments: Mapping[str, str]  # and the type of each
    required: frozenset[str] = frozenset()

    @property
    def deletes(self) -> bool:
        return self.name.startswith("delete")

    def sane(self) -> dict[str, Value]:
        left_out = {"expires_at", *KNOWN} | ({"entitlement"} - self.required)  # a grant is for a user or for that
        named = {name: type for name, type in self.arguments.items() if name not in left_out}
        return {name: NAMED.get(name, SANE.get(type)) for name, type in named.items()}


def declared() -> list[Rpc]:
    """Every function in public, as the package says that it declares them; computed fields take no input."""
    found = []
    for line in (ROOT / "sql" / "credits" / "surface.txt").read_text().splitlines():
        if match := re.match(r"function public\.(\w+)\((.*?)\) returns ", line):
            parts = [part.partition(" DEFAULT ") for part in match[2].split(", ") if part]
            split = [part.partition(" ") for part, _, _ in parts]  # the body of a webhook has a type and no name
            pairs = [(name, type) if type else ("", name) for name, _, type in split]
            types = dict(pairs)
            required = frozenset(name for (name, _), (_, given, _) in zip(pairs, parts, strict=True) if not given)
            if not {"public.user_credits", "public.credit_transactions"}.intersection(types.values()):
                found.append(Rpc(match[1], types, required))
    return found


RPCS = declared()
USERS = [rpc for rpc in RPCS if (ROOT / "sql/credits/rpc" / f"{rpc.name}_for.sql").exists()]
VISITORS = [rpc for rpc in RPCS if rpc.name.endswith("_webhook")]
SERVICES = [rpc for rpc in RPCS if rpc not in [*USERS, *VISITORS]]


class Target:
    """The connections through which a database is attacked, one for each kind of caller."""

    def __init__(self, stack: ExitStack, database: Database) -> None:
        self.owner = stack.enter_context(database.connect())
        self.service = stack.enter_context(database.connect(options=f"{LIMIT} -c role=service_role"))
        self.user = stack.enter_context(database.connect(options=f"{LIMIT} -c role=authenticated"))
        self.nobody = stack.enter_context(database.connect(options=f"{LIMIT} -c role=anon"))
        self.database = database
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0
        self.worst = ""
        self.owner.execute(
            "select credits_private.set_product('any', 'pack', 5, 0, 0, null, null, 'pro', null, null, null)"
        )
        self.owner.execute("select credits_private.set_setting('max_active_holds', '100000')")
        self.victim = self.newcomer()

    def newcomer(self) -> UUID:
        """Somebody with credits of both kinds, a consumption to give back and a hold."""
        user = self.database.sign_up()
        query = """
            select public.add_credits_for(%(user)s, 1000000),
              public.add_credits_for(%(user)s, 1000000, expires_at => now() + interval '1 day'),
              public.consume_credit_for(%(user)s, 1000),
              (public.reserve_credits_for(%(user)s, 1000, '30 days')).id
            """
        row = self.owner.execute(query, {"user": user}).fetchone()
        assert row
        self.known = {"user_id": str(user), "hold_id": str(row[3]), "seq": "4"}
        self.sign_in(user)
        return user

    def whose(self, rpc: Rpc) -> dict[str, Value]:
        """What the victim has that this function asks for."""
        return {name: value for name, value in self.known.items() if name in rpc.arguments}

    def sign_in(self, user: UUID) -> None:
        claims = json.dumps({"sub": str(user), "role": "authenticated"})
        self.user.execute("select set_config('request.jwt.claims', %s, false)", [claims])

    def call(self, connection: psycopg.Connection[Any], rpc: Rpc, values: Mapping[str, Value]) -> str:
        """Call it, note how it ended and how long it took, and return the SQLSTATE or ok."""
        places = [f"${place}::{rpc.arguments[name]}" for place, name in enumerate(values, 1)]
        if " " in rpc.name:
            query = f"insert into public.credit_transactions ({', '.join(values)}) values ({', '.join(places)})"
            query += " on conflict do nothing returning seq"
        else:
            named = [f"{name} => {place}" if name else place for name, place in zip(values, places, strict=True)]
            query = f"select * from public.{rpc.name}({', '.join(named)})"
        start = time.monotonic()
        result = connection.pgconn.exec_params(
            query.encode(),
            [value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value for value in values.values()],
            param_types=[OIDS.get(rpc.arguments[n], 0) if isinstance(v, bytes) else 0 for n, v in values.items()],
            param_formats=[Format.BINARY if isinstance(value, bytes) else Format.TEXT for value in values.values()],
        )
        took = time.monotonic() - start
        short = {name: repr(value)[:60] for name, value in values.items()}
        if took > self.slowest:
            self.slowest, self.worst = took, f"{rpc.name}({short})"
        if result.status == ExecStatus.TUPLES_OK:
            outcome = "ok"
        else:
            outcome = (result.error_field(ord("C")) or b"no SQLSTATE").decode()
            assert connection.info.transaction_status.name == "IDLE", result.error_message
        self.outcomes[outcome] += 1
        assert outcome in {"ok"} | REFUSALS | PARSING, f"{outcome}: {rpc.name}({short}): {result.error_message!r}"
        assert took < SECONDS, f"{took:.1f} s: {rpc.name}({short})"
        return outcome

    def attack(self, rpc: Rpc, values: Mapping[str, Value]) -> str:
        """Call it as whom it is for, with the victim as the user unless the values name another."""
        if rpc in USERS:
            outcome = self.call(self.user, rpc, values)
        elif rpc in VISITORS:
            outcome = self.call(self.nobody, rpc, values)
        else:
            outcome = self.call(self.service, rpc, {**self.whose(rpc), **values})
        if rpc.deletes and outcome == "ok":
            self.victim = self.newcomer()
        return outcome

    def check(self) -> None:
        """What must hold, whatever was sent."""
        assert_books_add_up(self.owner)
        printed = self.owner.execute(
            "select coalesce(max(octet_length(metadata::text)), 0) from public.credit_transactions"
        ).fetchone()
        assert printed
        assert printed[0] <= PRINTED
        found = self.owner.execute(
            """
            select count(*) from public.credit_transactions
            where length(idempotency_key) not between 1 and 255 or length(description) > 500
              or abs(amount) > 1000000000000 or jsonb_typeof(metadata) <> 'object'
              or idempotency_key like 'credits:%' and idempotency_key <> 'credits:signup_bonus'
                and (type <> 'purchase' or idempotency_key not like 'credits:purchase:%')
                and (type <> 'consumption' or idempotency_key not like 'credits:capture:%')
                and (type not in ('bonus', 'monthly_bonus') or idempotency_key not like 'credits:grant:user:%')
            """
        ).fetchone()
        assert found == (0,)
        found = self.owner.execute(
            """
            select count(*) from public.credit_holds
            where length(idempotency_key) not between 1 and 255 or length(description) > 500
              or amount not between 1 and 1000000000000 or jsonb_typeof(metadata) <> 'object'
              or octet_length(metadata::text) > %s or idempotency_key like 'credits:%%'
              or expires_at - created_at not between '1 second' and '31 days'
            """,
            [PRINTED],
        ).fetchone()
        assert found == (0,)


@pytest.fixture(scope="module")
def target(templates: Templates, flavour: str) -> Iterator[Target]:
    with templates.clone(flavour) as database, ExitStack() as stack:
        target = Target(stack, database)
        yield target
        target.check()


def test_every_argument_type_has_hostile_values() -> None:
    assert {type for rpc in RPCS for type in rpc.arguments.values()} == set(HOSTILE)
    assert len(USERS) == 7
    assert [len(VISITORS), {tuple(rpc.arguments.items()) for rpc in VISITORS}] == [2, {(("", "json"),)}]
    assert all("user_id" not in rpc.arguments for rpc in USERS)
    assert len([rpc for rpc in SERVICES if "user_id" in rpc.arguments]) == 21
    assert {rpc.name for rpc in SERVICES if "user_id" not in rpc.arguments} == {
        "ack_outbox", "claim_outbox", "process_revenuecat_event", "process_stripe_event", "refund_purchase",
        "reprocess_store_event", "run_maintenance",
    }  # fmt: skip


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
def test_a_hostile_value_in_one_argument_is_refused_or_harmless(target: Target, rpc: Rpc) -> None:
    for name, type in rpc.arguments.items():
        for value in [None, *HOSTILE[type]]:
            target.attack(rpc, {**rpc.sane(), name: value})
    target.check()


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
def test_nothing_but_nulls_is_refused_or_harmless(target: Target, rpc: Rpc) -> None:
    outcome = target.attack(rpc, dict.fromkeys(rpc.arguments))
    wanting = {"get_operation_for", "get_transaction_history", "verify_ledger", "get_user_credits", "get_operation"}
    if rpc.arguments and rpc.name not in wanting | {"has_entitlement", "has_entitlement_for", "ack_outbox"}:
        assert outcome in REFUSALS


READS = {
    "get_operation",
    "get_transaction_history",
    "get_usage",
    "has_entitlement",
}  # of a user who is not there: nothing
NOBODY = {False: {"PT401", "PT404"}, True: {"PT401", "ok"}}


@pytest.mark.parametrize(
    "sub", [*UUIDS, *(t for t in TEXTS if isinstance(t, str)), None], ids=lambda sub: repr(sub)[:20]
)
def test_a_hostile_subject_is_nobody(target: Target, sub: str | None) -> None:
    target.user.execute("select set_config('request.jwt.claims', %s, false)", [json.dumps({"sub": sub})])
    try:
        for rpc in USERS:
            outcome = target.call(target.user, rpc, rpc.sane())
            assert outcome in NOBODY[rpc.deletes or rpc.name in READS]
    finally:
        target.sign_in(target.victim)


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
def test_a_role_without_the_privilege_gets_no_further_than_postgres(target: Target, rpc: Rpc) -> None:
    right = target.user if rpc in USERS else target.nobody if rpc in VISITORS else target.service
    wrong = [connection for connection in (target.nobody, target.user, target.service) if connection is not right]
    for connection in wrong:
        for value in (None, "x"):
            values = {name: value for name, type in rpc.arguments.items() if type == "text"}
            with pytest.raises(AssertionError, match="42501"):
                target.call(connection, rpc, {**rpc.sane(), **values, **target.whose(rpc)})


@pytest.mark.parametrize(
    "claims", ["", " ", "x", "[]", '"x"', "1", "null", "{", '{"sub": {}}', '{"sub": 1}', "[" * 50_000, "\\"]
)
def test_hostile_claims_are_nobody(target: Target, claims: str) -> None:
    target.user.execute("select set_config('request.jwt.claims', %s, false)", [claims])
    try:
        for rpc in USERS:
            assert target.call(target.user, rpc, rpc.sane()) in {"PT401", "22P02", "54001"}
    finally:
        target.sign_in(target.victim)


def test_a_hostile_row_of_a_service_is_refused_or_harmless(target: Target) -> None:
    columns = {**next(rpc for rpc in RPCS if rpc.name == "add_credits_for").arguments}
    del columns["expires_at"]
    row = Rpc("a row of the ledger", columns)
    victim = str(target.victim)
    for name, type in columns.items():
        for value in [None, *HOSTILE[type]]:
            target.call(target.service, row, {"user_id": victim, **row.sane(), name: value})
    for kind in TYPES[:10]:
        for amount in NUMBERS:
            target.call(target.service, row, {**row.sane(), "user_id": victim, "type": kind, "amount": amount})
    target.check()


def number_text() -> st.SearchStrategy[Value]:
    return st.one_of(
        st.integers(-(2**70), 2**70).map(str),
        st.floats().map(repr),
        st.decimals(allow_nan=True).map(str),
        st.sampled_from(HOSTILE["bigint"]),
    )


def any_text() -> st.SearchStrategy[Value]:
    return st.one_of(st.text(max_size=300), st.binary(max_size=50), st.sampled_from(HOSTILE["text"]))


def any_json() -> st.SearchStrategy[Value]:
    leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
    deep = st.recursive(
        leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner), max_leaves=30
    )
    return st.one_of(
        st.dictionaries(st.text(max_size=10), deep, max_size=8).map(json.dumps),
        deep.map(json.dumps),
        st.text(alphabet='{}[]",:0123456789eE+-.\\untrfalse', max_size=40),
        st.sampled_from(HOSTILE["jsonb"]),
    )


STRATEGIES: dict[str, st.SearchStrategy[Value]] = {
    "bigint": number_text(),
    "integer": number_text(),
    "text": any_text(),
    "json": any_json(),
    "jsonb": any_json(),
    "boolean": st.one_of(st.booleans().map(str), st.text(max_size=10)),
    "timestamp with time zone": st.one_of(
        st.datetimes(timezones=st.timezones()).map(str), st.text(max_size=20), st.sampled_from(INSTANTS)
    ),
    "interval": st.one_of(st.timedeltas().map(str), st.text(max_size=20), st.sampled_from(INTERVALS)),
    "uuid[]": st.one_of(st.text(max_size=20), st.sampled_from(UUID_LISTS)),
    "public.grant_period": st.one_of(st.sampled_from(PERIODS), st.text(max_size=20)),
    "uuid": st.one_of(st.uuids().map(str), st.text(max_size=40), st.sampled_from(UUIDS)),
    "public.credit_transaction_type": st.one_of(st.sampled_from(TYPES), st.text(max_size=20)),
}


@st.composite
def attacks(draw: st.DrawFn) -> tuple[Rpc, dict[str, Value]]:
    """A function with some arguments sane, some hostile, some null and some left out."""
    rpc = draw(st.sampled_from(RPCS))
    values: dict[str, Value] = {}
    for name, type in rpc.arguments.items():
        kind = draw(st.sampled_from(("sane", "sane", "hostile", "hostile", "null", "absent")))
        if kind == "hostile":
            value = draw(STRATEGIES[type])
            values[name] = value.replace("\x00", "") if isinstance(value, str) else value
        elif kind == "null":
            values[name] = None
        elif kind == "sane" and name in rpc.sane():
            values[name] = rpc.sane()[name]
    return rpc, {**{name: rpc.sane().get(name) for name in rpc.required - {*KNOWN}}, **values}


@settings(
    max_examples=250,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(attack=attacks())
def test_what_hypothesis_sends_is_refused_or_harmless(target: Target, attack: tuple[Rpc, dict[str, Value]]) -> None:
    target.attack(*attack)


def test_more_than_a_thousand_calls_were_made_and_all_kinds_of_answers_came(templates: Templates, flavour: str) -> None:
    with templates.clone(flavour) as database, ExitStack() as stack:
        target = Target(stack, database)
        for rpc in RPCS:
            for name, type in rpc.arguments.items():
                for value in HOSTILE[type]:
                    target.attack(rpc, {**rpc.sane(), name: value})
        target.check()
        assert target.outcomes.total() > 1000
        assert {"ok", "PT404", "PT422", "22023", "22P02", "22003", "22P05", "22021", "22008", "54001"} <= set(
            target.outcomes
        )
