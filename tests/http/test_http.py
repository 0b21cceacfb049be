"""What an app sees: every RPC and table through PostgREST, by supabase-js and by Supabase's Python client.

Each test has an ada and a bob of its own, or those of the test before where that has written nothing, and speaks of
them by name (see cases.py); each call is one request at the gateway; afterwards the books add up.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import documented
import httpx
import jwt
import psycopg
import pytest
import stack
import supabase
from cases import (
    ACCOUNT,
    ADA,
    BOB,
    BROKE,
    EMPTY,
    ENDED,
    EXPLANATION,
    EXPORTED,
    GRANT,
    HELD,
    HOLDS,
    IN_TIME,
    MAINTAINED,
    NO_USER,
    PRODUCTS,
    READS,
    REFUND,
    REFUSALS,
    REUSED,
    ROWS,
    SALES,
    SIGN_IN,
    STATS,
    STORED,
    TAKEN,
    TOO_MUCH,
    WRITES,
    Case,
    Refusal,
    entitlement,
    hold,
    recurring_grant,
    revenuecat_event,
    row,
    stripe_event,
)
from conftest import ROOT, Templates, assert_books_add_up, sign_up
from test_readme import JOBS, blocks

from credits_db import Client, errors

SECRET = secrets.token_hex(32)
HTTP = httpx.Client(trust_env=False)
TABLES = ("user_credits", "credit_transactions", "credit_holds")
WEBHOOKS = {"revenuecat_webhook", "stripe_webhook"}  # in test_webhooks.py
COMPUTED = {"user_credits": {"credits_available"}, "credit_transactions": {"id"}, "profiles": {"credits"}}
FIELDS = set[str]().union(*COMPUTED.values())
KEYS = {"credit_products": "product_id"} | dict.fromkeys(
    (*TABLES, "purchase_transactions", "user_entitlements"), "user_id"
)

INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00"
SAID_INSTANT = r"\d+ [A-Z][a-z]+ \d{4} \d\d:\d\d UTC"
AGE = r"\b\d\d:\d\d:\d\d\.\d+"

Step = tuple[str, tuple[Any, ...], dict[str, Any]]


def step(method: str, *args: Any, **options: Any) -> Step:
    """A method of a Supabase client; a request is a chain of them."""
    return method, args, options


def token(secret: str = SECRET, **claims: object) -> str:
    return jwt.encode({"aud": "authenticated", "exp": time.time() + 3600, **claims}, secret, "HS256")


class Answer(NamedTuple):
    status: int
    data: Any = None
    error: dict[str, Any] | None = None

    @property
    def code(self) -> str | None:
        return self.error["code"] if self.error else None


def failed(status: int, code: str | None, message: str | None, details: Any = None, hint: str | None = None) -> Answer:
    return Answer(status, error={"code": code, "message": message, "details": details, "hint": hint})


def refused(token: str, hint: str, details: Any = None) -> Answer:
    """What credits-db refuses to do."""
    return failed(*documented.STATUSES[token], token, details or {}, hint)


def denied(caller: str, what: str) -> Answer:
    """What Postgres itself answers where a role has no privilege."""
    return failed(401 if caller == "anon" else 403, "42501", f"permission denied for {what}")


@dataclass(slots=True)
class Api:
    """A database behind its gateway, the users of a test, and the client by which it calls."""

    owner: psycopg.Connection[Any]
    gateway: stack.Gateway
    node: Callable[..., Any]
    users: dict[str, UUID]
    written: Callable[[], object]
    client: str = "supabase-js"

    def rpc(self, caller: str, function: str, arguments: dict[str, Any] | None = None, **options: Any) -> Answer:
        return self.call(caller, step("rpc", function, arguments or {}, **options))

    def read(self, caller: str, table: str, columns: str = "*") -> Answer:
        return self.call(caller, step("from", table), step("select", columns))

    def call(self, caller: str, *steps: Step) -> Answer:
        """Make one request: users go in and come out by name, instants as "now", other ids as "new", details parsed.

        An age, which is an interval, comes out as "age".
        """
        before, text = len(self.gateway.statuses), json.dumps(steps)
        for name, user in self.users.items():
            text = text.replace(f'"{name}"', f'"{user}"')
        made = (self.javascript if self.client == "supabase-js" else self.python)(caller, json.loads(text))
        assert self.gateway.statuses[before:] == [made.status]
        text = re.sub(AGE, "age", re.sub(rf"{INSTANT}|{SAID_INSTANT}", "now", json.dumps(made)))
        for name, user in self.users.items():
            text = text.replace(str(user), name)
        text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "new", text)
        status, data, error = json.loads(text)
        if error and str(error["details"]).startswith("{"):
            error["details"] = json.loads(error["details"])
        return Answer(status, data, error)

    def javascript(self, caller: str, steps: list[Any]) -> Answer:
        code = """
            const chained = (query, [method, args, options]) =>
              query[method](...args, ...(Object.keys(options).length ? [options] : []))
            const { status, data, error } = await steps.reduce(chained, supabase)
            return { status, data, error: error && { ...error, message: error.message } }
        """
        return Answer(**self.script(caller, code, steps=steps))

    def script(self, caller: str, code: str, **scope: Any) -> Any:
        """Run supabase-js code as it would stand in an app."""
        key, bearer = self.login(caller)
        return self.node(url=self.gateway.url, key=key, token=bearer, code=code, scope=scope)

    def python(self, caller: str, steps: list[Any]) -> Answer:
        key, bearer = self.login(caller)
        options = supabase.ClientOptions(httpx_client=HTTP, headers={"Authorization": f"Bearer {bearer or key}"})
        query: Any = supabase.create_client(self.gateway.url, key, options)
        for method, args, keywords in steps:
            query = getattr(query, "table" if method == "from" else method)(*args, **keywords)
        try:
            data = query.execute().data
            return Answer(self.gateway.statuses[-1], data)
        except supabase.PostgrestAPIError as error:
            return failed(self.gateway.statuses[-1], error.code, error.message, error.details, error.hint)

    def login(self, caller: str) -> tuple[str, str | None]:
        """The key of the app, and its user's token: a caller is a role, a user, nobody, or a token as it stands."""
        if caller in ("anon", "service_role"):
            return token(role=caller), None
        if caller == "nobody":
            caller = token(role="authenticated")
        elif caller in self.users:
            caller = token(role="authenticated", sub=str(self.users[caller]))
        return token(role="anon"), caller

    def fill(self) -> None:
        """Bring ada's balance to the limit of all balances, by a row that no RPC would write."""
        self.owner.execute(
            """
            insert into public.credit_transactions (user_id, seq, amount, balance_after, created_at, type)
            select a.user_id, a.last_seq, %(amount)s, a.credits_remaining, a.updated_at, 'bonus'
            from credits_private.move_balance(%(user)s, 'bonus', %(amount)s) as a
            """,
            {"user": self.users["ada"], "amount": 2**53 - 3},
        )


@pytest.fixture(scope="session", params=["supabase", "supabase_closed"])
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass(slots=True)
class Served:
    """A database behind PostgREST and the gateway, who is there, and what was written when they had come."""

    owner: psycopg.Connection[Any]
    gateway: stack.Gateway
    count: bytes
    users: dict[str, UUID]
    before: object = None

    def written(self) -> object:
        """How many rows each table has, and which transaction wrote last: another answer when anything was written."""
        return self.owner.execute(self.count).fetchall()


def counting(owner: psycopg.Connection[Any]) -> bytes:
    tables = """
        select oid::regclass::text
        from pg_class
        where relkind = 'r' and relnamespace in ('public'::regnamespace, 'credits_private'::regnamespace)
        union all
        select 'auth.users'
    """
    count = "select '{0}', count(*), coalesce(max(xmin::text::bigint), 0) from {0}"
    return " union all ".join(count.format(table) for (table,) in owner.execute(tables)).encode()


@pytest.fixture(scope="session")
def served(templates: Templates, flavour: str) -> Iterator[Served]:
    """A database with both tracks to which an app has added the README's function, behind PostgREST and the gateway."""
    with templates.clone(flavour, pushed="app") as database, database.connect() as owner:
        owner.execute(JOBS)
        owner.execute(blocks("sql")[0].encode())
        open_shop(owner)
        with stack.postgrest(database, SECRET) as upstream, stack.gateway(upstream) as gateway:
            yield Served(owner, gateway, counting(owner), {})


def open_shop(owner: psycopg.Connection[Any]) -> None:
    """Offer the products, and have somebody buy and leave."""
    stack.offer(owner, PRODUCTS)
    leaver = sign_up(owner)
    owner.execute("select public.record_purchase_for(%s, 'app_store', 'closed', 'pack')", [leaver])
    owner.execute("select public.delete_user_account_for(%s)", [leaver])


def in_minutes(minutes: int) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


@pytest.fixture(scope="session")
def node() -> Iterator[Callable[..., Any]]:
    with stack.node() as run:
        yield run


@pytest.fixture
def js(served: Served, node: Callable[..., Any]) -> Iterator[Api]:
    """The API for supabase-js alone."""
    owner = served.owner
    if not served.users:
        served.users = come(owner)
        served.before = served.written()
    yield Api(owner, served.gateway, node, dict(served.users), served.written)
    if served.written() != served.before:
        assert_books_add_up(owner)
        # with them goes what falls due to them, so that maintenance and proofs have one test to look at
        everybody = [served.users[name] for name in ("ada", "bob", "left")]
        owner.execute("select public.delete_user_account_for(u) from unnest(%s) as u", [everybody])
        owner.execute("delete from credits_private.recurring_grants where entitlement is not null")
        served.users = {}


def come(owner: psycopg.Connection[Any]) -> dict[str, UUID]:
    """Ada, bob and the others of cases.py, with what they have."""
    users = {"ada": sign_up(owner, created_at=datetime.now(UTC)), "bob": sign_up(owner), "left": sign_up(owner)}
    owner.execute("update auth.users set deleted_at = now() where id = %s", [users["left"]])
    users |= {name: uuid4() for name in ("stranger", "sale", "session", "sold")}
    Client(owner).consume_credit_for(users["ada"], description="A picture", idempotency_key="first")
    bought = json.dumps(revenuecat_event("bob", id="sold", transaction_id="sold"))
    for name, user in users.items():
        bought = bought.replace(f'"{name}"', f'"{user}"')
    owner.execute("select public.process_revenuecat_event(%s)", [bought])
    owner.execute("select public.refund_purchase('app_store', %s, 'r1', 20)", [str(users["sold"])])
    return users | hold_credits(owner, users["bob"]) | draw(owner, users["ada"], users["bob"])


def hold_credits(owner: psycopg.Connection[Any], user: UUID) -> dict[str, UUID]:
    """Give a user pocket money and two holds, one of them captured."""
    owner.execute("select public.set_recurring_grant('pocket_money', 7, 'month', %s)", [user])
    reserve = "select id from public.reserve_credits_for(%s, %s)"
    held, spent = (owner.execute(reserve, [user, amount]).fetchall()[0][0] for amount in (10, 5))
    owner.execute("select public.capture_hold_for(%s, %s, idempotency_key => 'film')", [user, spent])
    return {"held": held, "spent": spent}


def draw(owner: psycopg.Connection[Any], *artists: UUID) -> dict[str, UUID]:
    """Give each of two users a project with a layer."""
    project = "insert into public.projects (user_id) values (%s) returning id"
    layer = "insert into public.project_layers (project_id, name) values (%s, 'ink') returning id"
    projects = [owner.execute(project, [artist]).fetchall()[0][0] for artist in artists]
    layers = [owner.execute(layer, [project]).fetchall()[0][0] for project in projects]
    return dict(zip(("picture", "poster", "ink", "chalk"), projects + layers, strict=True))


@contextmanager
def changed(owner: psycopg.Connection[Any], name: str, value: str) -> Iterator[None]:
    """A setting has another value."""
    select, change = "select value from credits_private.settings where name = %s", "credits_private.set_setting(%s, %s)"
    before = owner.execute(select, [name]).fetchall()[0][0]
    owner.execute(f"select {change}".encode(), [name, value])
    try:
        yield
    finally:
        owner.execute(f"select {change}".encode(), [name, before])


@contextmanager
def later(owner: psycopg.Connection[Any], time: str) -> Iterator[None]:
    """It is later by so much, for credits-db and for everybody."""
    clock = "create or replace function credits_private.now() returns timestamptz language plpgsql volatile"
    body = "set search_path = '' as $$ begin return clock_timestamp() {}; end $$"
    try:
        owner.execute(f"{clock} {body}".format(f"+ pg_catalog.interval '{time}'").encode())
        yield
    finally:
        owner.execute(f"{clock} {body}".format("").encode())


@pytest.fixture
def api(js: Api, flavour: str) -> Api:
    """The API for both clients: supabase-js where a project exposes new objects by itself, Python elsewhere."""
    js.client = "supabase-js" if flavour == "supabase" else "supabase-py"
    return js


def named(case: Case | Refusal) -> str:
    return f"{case.function}-{case.token if isinstance(case, Refusal) else case.caller}"


@pytest.mark.parametrize("case", READS, ids=named)
def test_a_read_answers_alike_by_post_and_get(api: Api, case: Case) -> None:
    assert api.rpc(*case[:3]) == Answer(200, case.data)
    assert api.rpc(*case[:3], get=True) == Answer(200, case.data)


@pytest.mark.parametrize("case", WRITES, ids=named)
def test_a_write_answers_with_what_it_wrote(api: Api, case: Case) -> None:
    assert api.rpc(*case[:3]) == Answer(200, case.data)


OBJECTS = ("metadata", "payload", "options", "layer_ids")  # have no place in a URL
# these find nothing to do, and then write nothing
BUSY = [case for case in WRITES if case.data not in (MAINTAINED, recurring_grant())]


@pytest.mark.parametrize("case", BUSY, ids=named)
def test_a_write_is_never_made_by_get(api: Api, case: Case) -> None:
    arguments = {name: value for name, value in case.arguments.items() if name not in OBJECTS}
    if "body" in arguments:
        arguments["body"] = json.dumps(arguments["body"])
    before = api.written()
    answer = api.rpc(case.caller, case.function, arguments, get=True)
    assert (answer.status, answer.code, api.written()) == (405, "25006", before)


@pytest.mark.parametrize("case", [case for case in WRITES if "idempotency_key" in case.arguments], ids=named)
def test_a_replay_answers_with_the_same_row_and_writes_nothing(api: Api, case: Case) -> None:
    user = case.data["user_id"]
    before = api.rpc(user, "get_transaction_history").data
    assert api.rpc(*case[:3]) == api.rpc(*case[:3]) == Answer(200, case.data)
    spent = [EXPORTED] if case.data.get("paid_by") == "credits" else []  # by the export
    written = [case.data] if "balance_after" in case.data else spent
    assert api.rpc(user, "get_transaction_history").data == written + before
    holds = api.call(user, step("from", "credit_holds"), step("select", "*"), step("order", "created_at")).data
    assert len(holds) == (2 if user == "bob" else 1 - len(written))


@pytest.mark.parametrize("case", SALES, ids=named)
def test_what_a_store_says_again_has_the_same_answer_and_moves_nothing(api: Api, case: Case) -> None:
    histories = list[Answer]()
    for _ in range(2):
        assert api.rpc(*case[:3]) == Answer(200, case.data)
        histories += [api.rpc(user, "get_transaction_history") for user in ("ada", "bob")]
    assert histories[:2] == histories[2:]


@pytest.mark.parametrize("case", {case.function: case for case in READS + WRITES}.values(), ids=named)
def test_no_other_role_may_call(api: Api, case: Case) -> None:
    for caller in {"anon", "ada", "service_role"} - {case.caller}:
        assert api.rpc(caller, *case[1:3]) == denied(caller, f"function {case.function}")


@pytest.mark.parametrize("case", REFUSALS, ids=named)
def test_a_refusal_has_its_status_token_details_and_hint(api: Api, case: Refusal) -> None:
    if case.token == "balance_limit":
        api.fill()
    if case[3:] == (*BROKE, EMPTY):
        api.rpc("ada", "consume_credit", {"amount": 2})
    with changed(api.owner, "max_active_holds", "1") if case.token == "too_many_holds" else nullcontext():
        before = api.written()
        assert api.rpc(*case[:3]) == refused(*case[3:])
        assert api.written() == before


def test_every_function_and_every_token_has_its_cases(js: Api) -> None:
    functions = js.owner.execute(
        """
        select p.proname, p.provolatile, coalesce(p.proargnames, '{}'), obj_description(p.oid, 'pg_proc'),
          case when r.typtype = 'c' then r.typname end,
          array(select attname from pg_attribute where attrelid = r.typrelid and attnum > 0 order by attnum),
          array(
            select r from unnest('{anon,authenticated,service_role}'::text[]) as r
            where has_function_privilege(r, p.oid, 'execute')
          )
        from pg_proc as p
        join pg_type as r on r.oid = p.prorettype
        where p.pronamespace = 'public'::regnamespace and p.proname <> 'start_job'
        """
    ).fetchall()
    roles = {"ada": ["authenticated"], "service_role": ["service_role"]}
    expected = {case.function: roles[case.caller] for case in READS + WRITES}
    expected |= {field: ["authenticated", "service_role"] for field in FIELDS}
    expected |= {webhook: ["anon"] for webhook in WEBHOOKS}
    assert {name: may for name, *_, may in functions if may} == expected
    readers = {case.function for case in READS} | FIELDS
    assert {name for name, volatile, *_, may in functions if may and volatile != "v"} == readers

    rpcs = documented.rpcs()
    assert rpcs.keys() == expected.keys() - FIELDS
    for name, _, arguments, comment, answers, columns, may in functions:
        raised = {case.token for case in REFUSALS if case.function == name}
        assert raised == documented.STATUSES.keys() & set(re.findall(r"\w+", comment)), name
        if rpc := rpcs.get(name):
            assert (rpc.arguments, [rpc.caller]) == (["json"] if name in WEBHOOKS else arguments, may), name
            assert all(rpc.allows(token) for token in raised), name
            assert raised >= rpc.raises - {"invalid_*"}, name
            assert any(token.startswith("invalid_") for token in raised) >= ("invalid_*" in rpc.raises), name
            kind, listed = re.search(r"`(\w+)`", rpc.returns), re.search(r"` \(([\w, ]+)\)", rpc.returns)
            assert not kind or kind[1] == answers, name
            assert not listed or listed[1].split(", ") == columns, name


def test_every_error_of_the_readme_is_met_over_http() -> None:
    # what nobody gets from us, no role having the right to change a row, an app can get from a function of its own
    assert {case.token for case in REFUSALS} | {"ledger_immutable"} == documented.STATUSES.keys()
    assert {(code, token) for token, (_, code) in documented.STATUSES.items()} == errors._BY_CODE.keys()


@pytest.mark.parametrize(
    "change",
    [
        "update public.credit_transactions set amount = 9 where user_id = auth.uid()",
        "delete from public.credit_transactions where user_id = auth.uid()",
        "truncate public.credit_transactions",
    ],
    ids=["update", "delete", "truncate"],
)
def test_a_function_of_the_app_does_not_change_the_ledger_either(api: Api, change: str) -> None:
    mend = "create or replace function public.mend() returns void language sql security definer as"
    api.owner.execute(f"{mend} $$ {change} $$; notify pgrst, 'reload schema'".encode())
    try:
        deadline = time.monotonic() + 10
        while (answer := api.rpc("ada", "mend")).status == 404 and time.monotonic() < deadline:
            time.sleep(0.02)
        hint = "The ledger is append-only: correct it by adding a row, for instance an admin_adjustment."
        assert answer == refused("ledger_immutable", hint, {"operation": change.split()[0]})
    finally:
        api.owner.execute("drop function public.mend")


def test_every_answer_has_the_fields_that_the_types_know() -> None:
    answers = documented.answers()
    assert answers.keys() == {case.function for case in READS + WRITES} | FIELDS | WEBHOOKS
    shown = set[str]()
    for case in READS + WRITES:
        if fields := answers[case.function]:
            for row in case.data if isinstance(case.data, list) else [case.data]:
                assert row.keys() == fields.keys(), case.function
                assert all(fields[name] for name, value in row.items() if value is None), case.function
                shown.add(case.function)
    # these have nothing to say there, and are made to below
    assert {name for name, fields in answers.items() if fields} - shown == {"claim_outbox", "verify_ledger"}


def test_every_row_of_a_table_has_the_fields_that_the_types_know(js: Api) -> None:
    picture = {"project_id": "picture", "type": "png"}
    assert js.rpc("ada", "consume_credit_and_create_export", picture).status == 200
    for table, fields in documented.TABLES.items():
        every = step("select", ", ".join(fields))
        named, all_of_them = (
            js.call("service_role", step("from", table), columns, step("limit", 10))
            for columns in (every, step("select"))
        )
        assert named.data, table
        for shown, stored in zip(named.data, all_of_them.data, strict=True):
            assert all(fields[name] for name, value in shown.items() if value is None), table
            assert shown.keys() - stored.keys() == COMPUTED.get(table, set()), table
            assert not stored.keys() - shown.keys(), table


def test_books_that_do_not_add_up_are_told_row_by_row(api: Api) -> None:
    change = "update public.user_credits set credits_remaining = {0}, total_credits = {0} + 1 where user_id = %s"
    ada = [api.users["ada"]]
    api.owner.execute(change.format(4).encode(), ada)
    try:
        told = api.rpc("service_role", "verify_ledger", ADA).data
    finally:
        api.owner.execute(change.format(2).encode(), ada)
    violation = {"rule": "balance_is_not_sum", "expected": 2, "found": 4, "seq": None, "hold_id": None}
    assert told == [ADA | violation]
    assert told[0].keys() == documented.COMPOSITES["ledger_violation"].keys()


@pytest.mark.parametrize("table", KEYS)
@pytest.mark.parametrize("caller", ["anon", "ada", "service_role"])
def test_nobody_changes_or_removes_a_row(api: Api, caller: str, table: str) -> None:
    of_ada, entry = step("eq", KEYS[table], "ada"), {KEYS[table]: "ada"}
    for steps in ([step("update", entry), of_ada], [step("delete"), of_ada], [step("upsert", entry)]):
        assert api.call(caller, step("from", table), *steps) == denied(caller, f"table {table}")
    if (caller, table) != ("service_role", "credit_transactions"):
        assert api.call(caller, step("from", table), step("insert", entry)) == denied(caller, f"table {table}")


def test_a_service_adds_a_row_to_the_ledger_but_cannot_number_it(api: Api) -> None:
    def insert(**entry: object) -> Answer:
        return api.call(
            "service_role", step("from", "credit_transactions"), step("insert", entry), step("select", "*, id")
        )

    plain = {"type": "purchase", "description": "A sale", "metadata": {"a": 1}, "idempotency_key": "sale"}
    for number in ({"seq": 9}, {"balance_after": 900}, {"created_at": "2020-01-01T00:00:00Z"}):
        assert insert(user_id="ada", amount=5, **plain, **number) == denied("service_role", "table credit_transactions")
    assert insert(user_id="ada", amount=5, **plain) == Answer(201, [row(3, 5, 7, id="ada/3", **plain)])
    again = insert(user_id="ada", amount=5, **plain)
    assert (again.status, again.code) == (409, "23505")
    details = {"amount": 8, "credits_available": 7, "credits_remaining": 7}
    assert insert(user_id="ada", amount=-8, type="consumption") == refused(*BROKE, details)


def test_a_row_inserted_again_with_its_key_is_passed_over(js: Api) -> None:
    code = """
        const entry = { user_id, type: 'bonus', amount: 4, idempotency_key: 'gift' }
        const once = { onConflict: 'user_id,idempotency_key', ignoreDuplicates: true }
        const give = () => supabase.from('credit_transactions').upsert(entry, once).select('balance_after')
        return [(await give()).data, (await give()).data]
    """
    assert js.script("service_role", code, user_id=str(js.users["ada"])) == [[{"balance_after": 6}], []]


@pytest.mark.parametrize(
    ("table", "own"),
    [("user_credits", [ACCOUNT]), ("credit_transactions", ROWS[::-1]), ("credit_holds", HOLDS)],
    ids=TABLES,
)
def test_users_read_their_own_rows_services_all_and_others_none(api: Api, table: str, own: list[Any]) -> None:
    everything = [step("from", table), step("select", "*"), step("order", "created_at")]
    owner, other = ("bob", "ada") if own == HOLDS else ("ada", "bob")
    of_owner, of_other = ([*everything, step("eq", "user_id", user)] for user in (owner, other))
    assert api.call(owner, *everything) == Answer(200, own)
    assert api.call(other, *of_owner) == api.read("nobody", table) == Answer(200, [])
    assert api.call("service_role", *of_owner) == Answer(200, own)
    assert api.call("service_role", *of_other) == api.call(other, *everything)
    assert api.read("anon", table) == denied("anon", f"table {table}")


def test_users_read_their_purchases_but_not_what_the_store_sent(api: Api) -> None:
    shown = {name: value for name, value in TAKEN.items() if name != "payload"}
    assert api.read("bob", "purchase_transactions", ", ".join(shown)) == Answer(200, [shown])
    assert api.read("ada", "purchase_transactions", ", ".join(shown)) == Answer(200, [])
    for columns in ("*", "payload"):  # name the columns: all of them are not a user's to read
        refusal = denied("bob", "table purchase_transactions")
        assert api.read("bob", "purchase_transactions", columns) == refusal
    of_bob = [step("from", "purchase_transactions"), step("select", "*"), step("eq", "user_id", "bob")]
    assert api.call("service_role", *of_bob) == Answer(200, [TAKEN])
    assert api.read("anon", "purchase_transactions", "status") == denied("anon", "table purchase_transactions")


def test_users_read_their_entitlements_and_nobody_elses(api: Api) -> None:
    assert api.read("bob", "user_entitlements") == Answer(200, [entitlement()])
    assert api.rpc("bob", "has_entitlement", {"entitlement": "pro"}) == Answer(200, data=True)
    assert api.read("ada", "user_entitlements") == Answer(200, [])
    of_bob = [step("from", "user_entitlements"), step("select", "*"), step("eq", "user_id", "bob")]
    assert api.call("service_role", *of_bob) == Answer(200, [entitlement()])
    assert api.read("anon", "user_entitlements") == denied("anon", "table user_entitlements")


def test_users_keep_their_projects_and_layers_and_make_exports_only_by_paying(js: Api) -> None:
    def change(caller: str, table: str, *steps: Step) -> Answer:
        return js.call(caller, step("from", table), *steps, step("select", "id"))

    def counts(caller: str, *tables: str) -> list[int]:
        return [len(js.read(caller, table, "id").data) for table in tables]

    layer, export = {"project_id": "picture"}, {"project_id": "picture", "type": "png"}
    assert change("ada", "projects", step("insert", ADA)) == Answer(201, [{"id": "new"}])
    assert change("ada", "project_layers", step("insert", layer)) == Answer(201, [{"id": "new"}])
    assert counts("ada", "projects", "project_layers", "profiles", "users") == [2, 2, 1, 1]
    for table, mine, stolen, new in (
        ("projects", "picture", BOB, {"status": "ready"}),
        ("project_layers", "ink", {"project_id": "poster"}, {"name": "wash"}),
    ):
        for steps in ([step("insert", stolen)], [step("update", stolen), step("eq", "id", mine)]):
            refusal = change("ada", table, *steps)
            assert (refusal.status, refusal.code) == (403, "42501")
        for caller, changes in (("bob", []), ("ada", [{"id": mine}])):
            assert change(caller, table, step("update", new), step("eq", "id", mine)) == Answer(200, changes)
    for steps in ([step("insert", export)], [step("update", export), step("eq", "user_id", "ada")]):
        assert change("ada", "exports", *steps) == denied("ada", "table exports")

    assert js.rpc("ada", "consume_credit_and_create_export", export).status == 200
    assert [counts(caller, "exports") for caller in ("ada", "bob", "nobody")] == [[1], [0], [0]]
    done = [step("update", {"status": "done", "asset_path": "ada.png"}), step("eq", "project_id", "picture")]
    assert change("service_role", "exports", *done).data == [{"id": "new"}]
    gone = [step("delete"), step("eq", "id", "picture")]
    assert [change(caller, "projects", *gone).data for caller in ("bob", "ada")] == [[], [{"id": "picture"}]]
    [item] = js.rpc("service_role", "claim_outbox").data
    assert (item["kind"], item["user_id"], item["payload"]) == (
        "remove_file",
        None,
        {"path": "ada.png", "owner": "ada"},
    )
    js.owner.execute("delete from credits_private.outbox where true")
    assert js.rpc("ada", "get_user_stats").data == STATS | {"lifetime_exports": 1, "credits": 1}
    for table in ("profiles", "projects", "project_layers", "exports"):
        assert js.read("anon", table) == denied("anon", f"table {table}")
    assert js.read("anon", "users") == denied("anon", "view users")


def test_everybody_sees_what_is_on_sale_and_services_what_was(api: Api) -> None:
    ordered = [step("from", "credit_products"), step("select", "*"), step("order", "product_id")]
    everything = [product | {"active_to": product["active_to"] and "now"} for product in PRODUCTS]
    on_sale = [product for product in everything if not product["active_to"]]
    assert api.call("anon", *ordered) == api.call("ada", *ordered) == Answer(200, on_sale)
    assert api.call("service_role", *ordered) == Answer(200, everything)


def test_an_event_that_was_only_stored_is_done_by_maintenance(api: Api) -> None:
    deferred = {"body": stripe_event(), "deferred": True}
    assert api.rpc("service_role", "process_stripe_event", deferred) == Answer(200, STORED)
    assert api.rpc("ada", "get_user_credits").data == ACCOUNT
    by_get = api.rpc("service_role", "run_maintenance", get=True)
    assert (by_get.status, by_get.code) == (405, "25006")
    assert api.rpc("service_role", "run_maintenance") == Answer(200, MAINTAINED | {"store_events": 1})
    assert api.rpc("ada", "get_user_credits").data["credits_remaining"] == 122


def test_computed_fields_can_be_selected_from_tables_and_from_answers(api: Api) -> None:
    balance, ids = {"credits_available": 2}, [{"id": "ada/1", "amount": 3}, {"id": "ada/2", "amount": -1}]
    assert api.read("ada", "user_credits", "*, credits_available").data == [ACCOUNT | balance]
    assert api.read("ada", "credit_transactions", "id, amount").data == ids
    for function, columns, data in (
        ("get_user_credits", "credits_available", balance),
        ("get_transaction_history", "id, amount", ids[::-1]),
        ("consume_credit", "id", {"id": "ada/3"}),
    ):
        assert api.call("ada", step("rpc", function, {}), step("select", columns)).data == data
    assert api.read("ada", "profiles", "id, credits").data == [{"id": "ada", "credits": 1}]
    assert api.read("ada", "users").data == [{"id": "ada", "email": None, "credits_balance": 1}]


def test_a_lot_that_has_expired_is_counted_nowhere_before_anybody_swept_it(api: Api) -> None:
    lot = {"amount": 5, "expires_at": in_minutes(30)}
    assert api.rpc("service_role", "add_credits_for", ADA | lot).data == row(3, 5, 7, type="bonus")
    columns, of_ada = "credits_remaining, credits_available", step("eq", "user_id", "ada")
    for hours, available in ((0, 7), (1, 2)):
        with later(api.owner, f"{hours} hours"):
            shown = {"credits_remaining": 7, "credits_available": available}
            assert api.read("ada", "user_credits", columns).data == [shown]
            table = [step("from", "user_credits"), step("select", columns)]
            assert api.call("service_role", *table, of_ada).data == [shown]
            for caller, function, user in (
                ("ada", "get_user_credits", {}),
                ("service_role", "get_user_credits_for", ADA),
            ):
                selected = api.call(caller, step("rpc", function, user), step("select", columns)).data
                assert selected == dict.fromkeys(shown, available)
            at = {"at": in_minutes(59)}
            assert api.rpc("service_role", "get_balance_at_for", ADA | at).data == available
            assert api.rpc("service_role", "explain_balance_for", ADA).data["credits_available"] == available
    assert api.rpc("ada", "get_transaction_history").data[1:] == ROWS  # nobody wrote


def test_an_explanation_tells_of_lots_holds_and_grants(api: Api) -> None:
    api.rpc("service_role", "add_credits_for", ADA | {"amount": 5, "expires_at": in_minutes(30)})
    words = {"description": "a film"}
    api.rpc("service_role", "reserve_credits_for", ADA | {"amount": 4} | words)
    api.rpc("service_role", "set_recurring_grant", ADA | {"name": "pro-monthly", "amount": 6, "period": "month"})
    told = api.rpc("service_role", "explain_balance_for", ADA).data
    lot = {"seq": 3, "type": "bonus", "description": None, "granted": 5, "remaining": 1, "held": 4, "expires_at": "now"}
    grant = {"name": "pro-monthly", "amount": 6, "period": "month", "rollover": False, "next_at": "now"}
    assert told.keys() == EXPLANATION.keys()
    assert told["lots"] == [lot]
    assert told["holds"] == [{"id": "new", "amount": 4, "created_at": "now", "expires_at": "now"} | words]
    assert told["recurring_grants"] == [grant]
    assert told["summary"] == [
        "On now the balance is 13 credits; 4 are held, so 9 credits can be spent.",
        "Bonus: +5 in 1 operation.",
        "Consumption: -1 in 1 operation.",
        "Signup Bonus: +3 in 1 operation.",
        "Due since, and written with the next operation: +6.",
        "1 credit (and 4 held) of the 5 from row 3 (bonus) expires on now.",
        "4 credits are held for a film until now at the latest.",
        "6 credits come every month (pro-monthly), next on now.",
    ]


def test_an_explanation_tells_of_a_debt(api: Api) -> None:
    api.rpc("service_role", "consume_credit_for", BOB | {"amount": 90})
    api.rpc("service_role", "refund_purchase", REFUND | {"refund_id": "r2"})
    told = api.rpc("service_role", "explain_balance_for", BOB).data
    debt = {"seq": 7, "type": "clawback", "amount": -100, "balance_after": -85, "created_at": "now"}
    assert told["debts"] == [debt | {"description": "Refund of pack"}]
    assert told["summary"][-1] == (
        "Below zero since row 7 of now: clawback of 100 credits (Refund of pack). The next credits pay this first."
    )


def test_a_key_names_one_operation_be_it_a_row_a_lot_or_a_hold(api: Api) -> None:
    lot, held = {"idempotency_key": "lot"}, {"idempotency_key": "hold"}
    assert api.rpc("service_role", "add_credits_for", GRANT | IN_TIME | lot).status == 200
    assert api.rpc("service_role", "reserve_credits_for", GRANT | held).status == 200
    for function, arguments, seq in (
        ("add_credits_for", lot, 3),
        ("add_credits_for", lot | {"expires_at": in_minutes(60)}, 3),
        ("reserve_credits_for", lot, 3),
        ("reserve_credits_for", held | {"expires_in": "16 minutes"}, None),
        ("consume_credit_for", held, None),
    ):
        found = {"idempotency_key": arguments["idempotency_key"], "seq": seq}
        assert api.rpc("service_role", function, GRANT | arguments) == refused(*REUSED, found)


@pytest.mark.parametrize("term", ["15 minutes", "15 min", "PT15M", "00:15", 900])
def test_the_term_of_a_hold_is_written_as_postgres_reads_an_interval(api: Api, term: str | int) -> None:
    assert api.rpc("service_role", "reserve_credits_for", ADA | {"amount": 1, "expires_in": term}).data == hold(1)
    lasts = "select extract(epoch from expires_at - created_at) from public.credit_holds where user_id = %s"
    assert api.owner.execute(lasts, [api.users["ada"]]).fetchall() == [(900,)]


def test_a_hold_ends_once_and_goes_free_with_time(api: Api) -> None:
    def end(how: str) -> Answer:
        return api.rpc("service_role", f"{how}_hold_for", HELD)

    with later(api.owner, "16 minutes"):
        assert end("capture") == refused(*ENDED, {"hold_id": "held", "state": "expired"})
        assert api.read("bob", "user_credits", "credits_held, credits_available").data == [
            {"credits_held": 10, "credits_available": 105}
        ]
    released = Answer(200, HOLDS[0] | {"status": "released", "ended_at": "now"})
    assert end("release") == end("release") == released
    assert end("capture") == refused(*ENDED, {"hold_id": "held", "state": "released"})


def test_maintenance_says_what_time_did(api: Api) -> None:
    with later(api.owner, "2 hours"):
        api.rpc("service_role", "run_maintenance")  # bob's hold
    lot = ADA | {"amount": 5, "expires_at": in_minutes(10)}
    for function, arguments in (
        ("add_credits_for", lot),
        ("add_credits_for", lot),
        ("reserve_credits_for", ADA | {"amount": 3}),
        ("set_recurring_grant", ADA | {"name": "daily", "amount": 2, "period": "day", "rollover": True}),
    ):
        assert api.rpc("service_role", function, arguments).status == 200
    done = Answer(200, MAINTAINED | {"accounts": 1, "grants": 1})
    assert api.rpc("service_role", "run_maintenance") == done
    api.rpc("service_role", "end_recurring_grant", ADA | {"name": "daily"})
    with later(api.owner, "2 hours"):
        done = Answer(200, MAINTAINED | {"accounts": 1, "expirations": 3, "holds": 1})  # what was held expires last
        assert api.rpc("service_role", "run_maintenance") == done
    assert api.rpc("ada", "get_user_credits").data["credits_remaining"] == 4


def test_a_low_balance_is_handed_to_one_worker_and_then_done(js: Api) -> None:
    code = """
        const claim = async () => (await supabase.rpc('claim_outbox', { lease: '1 minute' })).data
        await supabase.rpc('set_alert_for', { user_id, alert_below: 2 })
        for (const n of [1, 1]) await supabase.rpc('consume_credit_for', { user_id, amount: n })
        const [items, others] = [await claim(), await claim()]
        const ack = async () => (await supabase.rpc('ack_outbox', { ids: items.map(({ id }) => id) })).data
        return [items, others, await ack(), await ack()]
    """
    ada = str(js.users["ada"])
    [item], *rest = js.script("service_role", code, user_id=ada)
    assert rest == [[], 1, 0]
    payload = {"credits_remaining": 1, "alert_below": 2, "seq": 3}
    known = {"id": item["id"], "created_at": item["created_at"]}
    assert item == {"kind": "low_balance", "user_id": ada, "payload": payload, "attempts": 1} | known
    assert item.keys() == documented.COMPOSITES["outbox_item"].keys()


def test_a_job_reserves_the_most_and_pays_what_it_cost_until_it_is_given_back(js: Api) -> None:
    code = """
        const held = await supabase.rpc('reserve_credits_for', { user_id, amount: 2, idempotency_key: 'job' })
        const spend = await supabase.rpc('consume_credit_for', { user_id })
        const paid = await supabase.rpc('capture_hold_for', { user_id, hold_id: held.data.id, amount: 1 })
        const refund = await supabase.rpc('refund_consumption_for', { user_id, seq: paid.data.seq })
        return [held.data.status, spend.status, paid.data.balance_after, refund.data.balance_after]
    """
    assert js.script("service_role", code, user_id=str(js.users["ada"])) == ["active", 402, 1, 2]
    again = js.rpc("service_role", "refund_consumption_for", ADA | {"seq": 3})
    assert again == refused(*TOO_MUCH, {"amount": None, "refundable": 0})


@pytest.mark.parametrize(
    ("bearer", "message"),
    [
        (token("another secret of more than 32 bytes", role="service_role"), "JWSError JWSInvalidSignature"),
        (jwt.encode({"role": "service_role"}, "", "none"), "JWSError JWSNoSignatures"),
        (token(role="authenticated", exp=1), "JWT expired"),
    ],
    ids=["forged", "unsigned", "expired"],
)
def test_a_bad_token_is_refused(api: Api, bearer: str, message: str) -> None:
    assert api.rpc(bearer, "get_user_credits") == failed(401, "PGRST301", message)
    assert api.read(bearer, "user_credits") == failed(401, "PGRST301", message)


@pytest.mark.parametrize("path", ["rpc/get_user_credits", *TABLES])
def test_without_a_token_nothing_is_answered(js: Api, path: str) -> None:
    answer = HTTP.get(f"{js.gateway.url}/rest/v1/{path}")
    assert (answer.status_code, answer.json()["code"]) == (401, "42501")


def test_a_sub_that_is_no_uuid_is_nobody_to_an_rpc_and_an_error_to_a_table(api: Api) -> None:
    clerk = token(role="authenticated", sub="user_2abc")
    assert api.rpc(clerk, "consume_credit") == refused(*SIGN_IN)
    for table in TABLES:  # auth.uid() in the policy casts it
        assert api.read(clerk, table) == failed(400, "22P02", 'invalid input syntax for type uuid: "user_2abc"')


def test_the_token_of_a_deleted_user_finds_nothing_and_opens_nothing(api: Api) -> None:
    api.rpc("ada", "delete_user_account")
    assert api.rpc("ada", "consume_credit") == api.rpc("ada", "get_user_credits") == refused(*NO_USER)
    assert api.read("ada", "user_credits") == api.read("ada", "credit_transactions") == Answer(200, [])


@pytest.mark.parametrize(
    ("function", "argument", "value", "code"),
    [
        ("consume_credit", "amount", "x", "22P02"),
        ("consume_credit", "amount", 1.5, "22P02"),
        ("consume_credit", "amount", 1e30, "22P02"),
        ("consume_credit", "amount", True, "22P02"),
        ("consume_credit", "amount", 10**20, "22003"),
        ("get_usage", "since", "x", "22007"),
        ("get_transaction_history", "type", "gift", "22P02"),
    ],
)
def test_a_malformed_value_is_named_in_a_bad_request(
    api: Api, function: str, argument: str, value: object, code: str
) -> None:
    answer = api.rpc("ada", function, {argument: value})
    assert (answer.status, answer.code) == (400, code)
    assert answer.error
    assert '"{}"'.format(json.dumps(value).strip('"')) in str(answer.error["message"])


def test_an_argument_that_a_function_does_not_have_finds_no_function(api: Api) -> None:
    answer = api.rpc("ada", "consume_credit", {"user_id": "bob"})
    assert (answer.status, answer.code) == (404, "PGRST202")


@pytest.mark.parametrize("caller", ["anon", "ada", "service_role"])
def test_the_private_schema_is_not_served(api: Api, caller: str) -> None:
    hidden = failed(406, "PGRST106", "The schema must be one of the following: public")
    for steps in ([step("rpc", "get_user_credits", {})], [step("from", "settings"), step("select", "*")]):
        assert api.call(caller, step("schema", "credits_private"), *steps) == hidden


def test_credits_up_to_the_limit_survive_json(api: Api) -> None:
    api.fill()
    assert api.rpc("ada", "get_user_credits").data["credits_remaining"] == 9007199254740991
    assert api.rpc("ada", "consume_credit", {"amount": 10**12}).data == row(4, -1000000000000, 9006199254740991)
    balances = [entry["balance_after"] for entry in api.rpc("ada", "get_transaction_history").data]
    assert balances == [9006199254740991, 9007199254740991, 2, 3]


def test_pages_of_history_meet_without_overlap_while_rows_arrive(api: Api) -> None:
    def arrive() -> None:
        Client(api.owner).add_credits_for(api.users["ada"], 1)

    for _ in range(5):
        arrive()
    for get in (False, True):
        newest = api.rpc("ada", "get_user_credits").data["last_seq"]
        pages, before = list[int](), dict[str, int]()
        while page := api.rpc("ada", "get_transaction_history", {"page_size": 3} | before, get=get).data:
            arrive()
            pages += [entry["seq"] for entry in page]
            before = {"before_seq": pages[-1]}
        assert pages == list(range(newest, 0, -1))


@pytest.mark.parametrize("way", ["Range", "limit", "number"])
def test_pages_of_a_table_meet_without_overlap_while_rows_arrive(js: Api, way: str) -> None:
    seen, ledger = list[int](), f"{js.gateway.url}/rest/v1/credit_transactions?select=seq"
    _, bearer = js.login("ada")
    for at in (0, 3, 6, 9, 12):  # 2 rows, then 5, 8, ...: the end is met when no more arrive
        for _ in range(3 if at < 9 else 0):
            Client(js.owner).add_credits_for(js.users["ada"], 1)
        query, headers = f"{ledger}&order=seq", {"Authorization": f"Bearer {bearer}"}
        if way == "Range":
            headers |= {"Range-Unit": "items", "Range": f"{at}-{at + 2}"}
        elif way == "limit":
            query += f"&limit=3&offset={at}"
        else:
            query += f"&limit=3&seq=gt.{seen[-1] if seen else 0}"
        answer = HTTP.get(query, headers=headers)
        page = [row["seq"] for row in answer.json()]
        span = f"{at}-{at + len(page) - 1}" if page and way != "number" else f"0-{len(page) - 1}" if page else "*"
        assert (answer.status_code, answer.headers["content-range"]) == (200, f"{span}/*")
        seen += page
    assert seen == list(range(1, 12))


def test_where_users_may_not_spend_the_app_is_refused_and_the_service_is_not(api: Api) -> None:
    with changed(api.owner, "user_spending", "off"):
        assert api.rpc("ada", "consume_credit") == denied("ada", "function consume_credit")
        assert api.rpc("service_role", "consume_credit_for", ADA).status == 200


def test_a_double_click_with_one_key_spends_once(js: Api) -> None:
    code = """
        const click = () => supabase.rpc('consume_credit', { amount: 2, idempotency_key: 'click' })
        return (await Promise.all([click(), click(), click()])).map(({ data }) => data.seq)
    """
    assert js.script("ada", code) == [3, 3, 3]


def test_apps_that_race_for_the_last_credits_share_what_there_is(js: Api) -> None:
    code = """
        const answers = await Promise.all(Array.from({ length: 10 }, () => supabase.rpc('consume_credit')))
        return answers.map(({ status }) => status).sort()
    """
    assert js.script("ada", code) == [200] * 2 + [402] * 8


def test_a_spend_whose_answer_was_lost_is_found_and_not_repeated(js: Api) -> None:
    spend = "return await supabase.rpc('consume_credit', { idempotency_key: 'lost' })"
    js.gateway.loses.append("/rpc/consume_credit")
    lost = js.script("ada", spend)
    assert (lost["status"], js.gateway.statuses[-1]) == (0, 200)
    found = js.rpc("ada", "get_operation", {"idempotency_key": "lost"})
    assert found.data == [row(3, -1, 1, idempotency_key="lost")]
    assert js.script("ada", spend)["data"]["seq"] == 3


def test_the_readme_starts_a_job_or_shows_the_shop(js: Api) -> None:
    shop = "const shown = [], showShop = (credits) => shown.push(credits)"
    code = f"{shop}\n{blocks('js')[0]}\nreturn [job?.title, shown]"
    jobs = "select title from public.jobs where user_id = %s"
    assert js.script("ada", code) == [None, [2]]
    assert js.owner.execute(jobs, [js.users["ada"]]).fetchall() == []
    Client(js.owner).add_credits_for(js.users["ada"], 10)
    assert js.script("ada", code) == ["A film", []]
    assert js.owner.execute(jobs, [js.users["ada"]]).fetchall() == [("A film",)]
    assert js.rpc("ada", "get_user_credits").data["credits_remaining"] == 2
    assert js.rpc("anon", "start_job", {"title": "For nothing"}) == denied("anon", "function start_job")


def test_the_readme_spends_by_itself(js: Api) -> None:
    assert js.script("ada", f"{blocks('js')[1]}\nreturn row.balance_after") == 1


def test_the_document_for_supabase_sells_and_spends_as_written(js: Api) -> None:
    sell, spend, _ = blocks("js", ROOT / "docs" / "supabase.md")
    names = {"userId": str(js.users["ada"]), "orderId": "7"}
    sold = js.script("service_role", f"const admin = supabase\n{sell}\nreturn row", **names)
    assert (sold["type"], sold["idempotency_key"], sold["balance_after"]) == ("purchase", "order:7", 102)
    spent = js.script("ada", f"{spend}\nreturn [credits, history.length, spent.balance_after]")
    assert spent == [{"credits_remaining": 102, "credits_available": 102}, 3, 100]


def test_the_document_for_clients_signs_in_spends_once_and_shows_the_shop_as_written(js: Api) -> None:
    [app] = blocks("js", ROOT / "docs" / "clients.md")
    around = """
    const told = [], show = (credits) => told.push(credits), showShop = (credits) => told.push({ shop: credits })
    const [email, password, button] = ['ada@example.com', 'secret', {}]
    supabase.auth = { signInWithPassword: async (who) => told.push(who) }
    """
    presses = "for (const press of [1, 2]) await button.onclick()"
    js.gateway.loses.append("/rpc/consume_credit")
    before = len(js.gateway.statuses)
    told = js.script("ada", f"{around}\n{app}\n{presses}\nreturn told")
    assert told == [{"email": "ada@example.com", "password": "secret"}, 2, 0, {"shop": 0}]
    assert js.gateway.statuses[before:] == [200, 200, 200, 402]  # the second was lost
    assert [entry["amount"] for entry in js.rpc("ada", "get_transaction_history").data] == [-2, -1, 3]


def test_the_document_about_the_app_exports_and_counts_as_written(js: Api) -> None:
    ask, count = blocks("js", ROOT / "docs" / "app.md")
    shop = "const shown = [], showShop = (credits) => shown.push(credits)"
    exported = f"{shop}\n{ask}\nreturn [made?.paid_by, made?.seq, shown]"
    drawn = {"project": {"id": str(js.users["picture"])}}
    assert [js.script("ada", exported, **drawn) for _ in range(3)] == [
        ["credits", 3, []],
        ["credits", 4, []],
        [None, None, [0]],
    ]
    drawn = {"project": {"id": str(js.users["poster"])}}
    assert js.script("bob", exported, **drawn) == ["entitlement", None, []]
    counted = f"{count}\nreturn [stats.projects, stats.exports, stats.lifetime_exports, stats.credits]"
    assert js.script("ada", counted) == [1, 2, 2, 0]


def test_the_document_about_accounts_deletes_one_as_written(js: Api) -> None:
    [leave] = blocks("js", ROOT / "docs" / "accounts.md")
    told = f"{leave}\nconst {{ removed }} = receipt\nreturn [removed['auth.users'], removed['public.projects']]"
    assert [js.script("ada", told) for _ in range(2)] == [[1, 1], [0, 0]]


def test_what_revenuecat_says_was_bought_is_spent_by_supabase_js_and_no_server_is_ours(js: Api) -> None:
    js.owner.execute("select credits_private.set_secret('revenuecat', %s, '0')", [SECRET])
    spend = "return (await supabase.rpc('consume_credit', { amount: 122 })).status"
    assert js.script("ada", spend) == 402
    body = json.dumps(revenuecat_event(str(js.users["ada"]), id=SECRET, transaction_id=SECRET)).encode()
    headers = {"Content-Type": "application/json", "X-RevenueCat-Webhook-Signature": stack.sign(SECRET, body)}
    answer = HTTP.post(f"{js.gateway.url}/rest/v1/rpc/revenuecat_webhook", content=body, headers=headers)
    assert (answer.status_code, answer.json()["state"]) == (200, "processed")
    assert js.script("ada", spend) == 200


def test_the_document_about_purchases_shows_what_was_bought_as_written(js: Api) -> None:
    checkout, ask, _ = blocks("js", ROOT / "docs" / "purchases.md")
    stripe = "const stripe = { checkout: { sessions: { create: async (asked) => asked } } }"
    asked = js.script("ada", f"{stripe}\nconst user = {{ id: 'ada' }}\n{checkout}\nreturn checkout")
    assert (asked["client_reference_id"], asked["metadata"]) == ("ada", {"product_id": "price_1OaBcD"})
    sold = {"product_id": "pack", "credits": 120, "refunded_credits": 20, "status": "completed"}
    assert js.script("bob", f"{ask}\nreturn [isPro, bought]") == [True, [sold]]
    assert js.script("ada", f"{ask}\nreturn [isPro, bought]") == [False, []]


def test_the_edge_function_of_the_document_hands_the_call_over_as_it_is(js: Api) -> None:
    js.owner.execute("select credits_private.set_secret('revenuecat', %s, '0')", [SECRET])
    _, _, function = blocks("js", ROOT / "docs" / "purchases.md")
    body = json.dumps(revenuecat_event(str(js.users["ada"]), id=f"edge {SECRET}", type="TEST"), indent=1)
    call = """
    const env = { SUPABASE_URL: url, SUPABASE_ANON_KEY: 'key' }
    let handler
    const Deno = { serve: (given) => (handler = given), env: { get: (name) => env[name] } }
    %s
    const headers = { 'X-RevenueCat-Webhook-Signature': signature }
    const request = (text) => new Request('https://edge/?store=revenuecat', { method: 'POST', headers, body: text })
    const [right, wrong] = [await handler(request(body)), await handler(request(body + ' '))]
    return [right.status, (await right.json()).state, wrong.status]
    """
    told = js.script("ada", call % function, url=js.gateway.url, signature=stack.sign(SECRET, body.encode()), body=body)
    assert told == [200, "ignored", 401]
