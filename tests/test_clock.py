"""Month ends, leap days, weeks over the new year, and clocks that jump, with the package's clock.

tests/clock/test_real_clock.py runs the same tests with the real time moved under the server: there time goes on by
itself, so a test steps to a second or two before an instant, and never counts on standing still.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest
from conftest import Database, Templates, assert_books_add_up, sign_up

from credits_db import testing

Connection = psycopg.Connection[Any]
SECOND = timedelta(seconds=1)
SIGNUP_BONUS = 3
ZONES = (
    "Pacific/Kiritimati", "Pacific/Auckland", "Asia/Tokyo", "Asia/Kolkata", "Asia/Kathmandu", "Europe/Moscow",
    "Africa/Nairobi", "Europe/Berlin", "UTC", "Atlantic/Azores", "America/Sao_Paulo", "America/St_Johns",
    "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Anchorage",
    "Pacific/Honolulu", "Pacific/Pago_Pago", "Etc/GMT+12",
)  # fmt: skip


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


class Clock(Protocol):
    """A database and its time."""

    database: Database

    def to(self, at: datetime) -> None: ...


class PackageClock:
    def __init__(self, database: Database, clock: testing.Clock) -> None:
        self.database, self.to = database, clock.move_to


@pytest.fixture(scope="module")
def clock(templates: Templates) -> Iterator[Clock]:
    """One database for all these tests, each with a user of its own."""
    with templates.clone("plain") as database, database.connect() as owner:
        with testing.freeze(owner, utc(2026, 1, 1)) as clock:
            yield PackageClock(database, clock)
        assert_books_add_up(owner)


@pytest.fixture
def connection(clock: Clock) -> Iterator[Connection]:
    with clock.database.connect() as connection:
        yield connection


def spendable(connection: Connection, user: UUID) -> int:
    """What may be spent, as any reader sees it."""
    row = connection.execute(
        "select c.credits_remaining - c.credits_held, c.credits_available from public.get_user_credits_for(%s) as c",
        [user],
    ).fetchone()
    assert row
    assert row[0] == row[1]
    return int(row[0])


def spend(connection: Connection, user: UUID, amount: int = 1) -> str:
    """The refusal's token, or nothing."""
    try:
        connection.execute("select public.consume_credit_for(%s, %s)", [user, amount])
    except psycopg.Error as error:
        return str(error.diag.message_primary)
    return ""


def add(connection: Connection, user: UUID, amount: int, expires_at: datetime | None) -> None:
    connection.execute("select public.add_credits_for(%s, %s, 'bonus', %s)", [user, amount, expires_at])


def set_grant(
    connection: Connection, user: UUID, amount: int, period: str, *, name: str = "plan", rollover: bool = False
) -> None:
    connection.execute(
        "select public.set_recurring_grant(%s, %s, %s::public.grant_period, %s, null, %s)",
        [name, amount, period, user, rollover],
    )


def ledger(connection: Connection, user: UUID, *types: str) -> list[tuple[str, int, datetime]]:
    """The rows of these types in order, with the time that they are dated at."""
    rows = connection.execute(
        "select t.type::text, t.amount, t.created_at, t.seq, t.balance_after from public.credit_transactions as t"
        " where t.user_id = %s order by t.seq",
        [user],
    ).fetchall()
    assert [row[3] for row in rows] == list(range(1, len(rows) + 1))
    assert [row[4] for row in rows] == [sum(row[1] for row in rows[: n + 1]) for n in range(len(rows))]
    return [(row[0], row[1], row[2].astimezone(UTC)) for row in rows if row[0] in types]


def test_at_the_end_of_july_the_month_s_credits_go_and_august_s_come_once(clock: Clock, connection: Connection) -> None:
    august = utc(2026, 8, 1)
    clock.to(august - 2 * SECOND)
    user = sign_up(connection)
    set_grant(connection, user, 100, "month")
    assert spendable(connection, user) == SIGNUP_BONUS + 100
    assert spend(connection, user, 40) == ""
    assert spendable(connection, user) == SIGNUP_BONUS + 60
    clock.to(august)
    assert spendable(connection, user) == SIGNUP_BONUS + 100  # nobody has swept anything
    assert spend(connection, user, SIGNUP_BONUS + 101) == "insufficient_credits"
    assert spend(connection, user) == ""
    assert spend(connection, user) == ""
    connection.execute("select public.run_maintenance()")
    assert spendable(connection, user) == SIGNUP_BONUS + 98
    assert ledger(connection, user, "expiration") == [("expiration", -60, august)]
    assert [row[1] for row in ledger(connection, user, "monthly_bonus")] == [100, 100]
    assert ledger(connection, user, "monthly_bonus")[1] == ("monthly_bonus", 100, august)


def test_after_seven_months_away_there_is_one_month_to_have(clock: Clock, connection: Connection) -> None:
    clock.to(utc(2026, 8, 15))
    user = sign_up(connection)
    set_grant(connection, user, 100, "month", rollover=True)
    assert spend(connection, user) == ""
    clock.to(utc(2027, 3, 15))
    assert spendable(connection, user) == SIGNUP_BONUS + 199
    assert spend(connection, user) == ""
    assert ledger(connection, user, "monthly_bonus")[1:] == [("monthly_bonus", 100, utc(2027, 3, 1))]


def test_a_clock_that_goes_back_grants_nothing_twice_and_loses_nothing(clock: Clock, connection: Connection) -> None:
    clock.to(utc(2026, 8, 15))
    user = sign_up(connection)
    add(connection, user, 10, utc(2026, 8, 20))
    set_grant(connection, user, 100, "month")
    assert spend(connection, user) == ""
    clock.to(utc(2026, 9, 10))
    assert spend(connection, user) == ""
    written = ledger(connection, user, "expiration", "monthly_bonus")
    assert spendable(connection, user) == SIGNUP_BONUS + 99
    clock.to(utc(2026, 1, 1))
    assert spendable(connection, user) == SIGNUP_BONUS + 99
    assert spend(connection, user) == ""
    connection.execute("select public.run_maintenance()")
    assert spendable(connection, user) == SIGNUP_BONUS + 98
    clock.to(utc(2026, 9, 20))
    assert spend(connection, user) == ""
    assert spendable(connection, user) == SIGNUP_BONUS + 97
    assert ledger(connection, user, "expiration", "monthly_bonus") == written
    assert len(ledger(connection, user, "consumption")) == 4


def test_months_of_28_29_30_and_31_days_all_end_at_their_end(clock: Clock, connection: Connection) -> None:
    months = [utc(2027 + n // 12, n % 12 + 1, 1) for n in range(26)]  # February has 28 days, then 29
    clock.to(months[0] + timedelta(days=3))
    user = sign_up(connection)
    set_grant(connection, user, 100, "month")
    assert spend(connection, user, 10) == ""
    for month in months[1:]:
        clock.to(month - 2 * SECOND)
        assert spendable(connection, user) == SIGNUP_BONUS + 90
        clock.to(month)
        assert spendable(connection, user) == SIGNUP_BONUS + 100
        assert spend(connection, user, 10) == ""
    assert [at for _, _, at in ledger(connection, user, "monthly_bonus")][1:] == months[1:]
    assert ledger(connection, user, "expiration") == [("expiration", -90, month) for month in months[1:]]


def test_the_29th_of_february_is_a_day_like_any_other(clock: Clock, connection: Connection) -> None:
    leap = utc(2028, 2, 29)
    clock.to(leap - 2 * SECOND)
    user = sign_up(connection)
    set_grant(connection, user, 5, "day")
    add(connection, user, 7, leap + timedelta(days=1))
    assert spend(connection, user, 5) == ""
    assert spendable(connection, user) == SIGNUP_BONUS + 7
    clock.to(leap)
    assert spend(connection, user, 5) == ""
    clock.to(leap + timedelta(days=1) - 2 * SECOND)
    assert spendable(connection, user) == SIGNUP_BONUS + 7
    clock.to(leap + timedelta(days=1))
    assert spendable(connection, user) == SIGNUP_BONUS + 5
    assert spend(connection, user, 5) == ""
    assert [at for _, _, at in ledger(connection, user, "bonus")][2:] == [leap, leap + timedelta(days=1)]


def test_a_week_goes_from_monday_to_monday_over_the_new_year(clock: Clock, connection: Connection) -> None:
    clock.to(utc(2026, 12, 28))  # the Monday of week 53
    user = sign_up(connection)
    set_grant(connection, user, 10, "week")
    assert spend(connection, user, 4) == ""
    for at in (utc(2026, 12, 31, 23, 59, 58), utc(2027, 1, 1), utc(2027, 1, 3, 23, 59, 58)):
        clock.to(at)
        assert spendable(connection, user) == SIGNUP_BONUS + 6
    clock.to(utc(2027, 1, 4))
    assert spendable(connection, user) == SIGNUP_BONUS + 10
    assert spend(connection, user) == ""
    assert ledger(connection, user, "bonus")[1:] == [("bonus", 10, utc(2027, 1, 4))]
    assert ledger(connection, user, "expiration") == [("expiration", -6, utc(2027, 1, 4))]


def test_twenty_calls_at_once_in_twenty_time_zones_get_one_month(clock: Clock, connection: Connection) -> None:
    clock.to(utc(2026, 10, 31, 12))
    user = sign_up(connection)
    set_grant(connection, user, 100, "month")
    assert spend(connection, user) == ""
    clock.to(utc(2026, 11, 1))
    ready = Barrier(len(ZONES))

    def call(zone: str) -> str:
        with clock.database.connect(options=f"-c timezone={zone}") as mine:
            ready.wait()
            return spend(mine, user)

    with ThreadPoolExecutor(len(ZONES)) as pool:
        assert list(pool.map(call, ZONES)) == [""] * len(ZONES)
    assert spendable(connection, user) == SIGNUP_BONUS + 100 - len(ZONES)
    assert ledger(connection, user, "monthly_bonus")[1:] == [("monthly_bonus", 100, utc(2026, 11, 1))]


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles"])
def test_the_date_where_the_caller_lives_changes_nothing(clock: Clock, connection: Connection, zone: str) -> None:
    august = utc(2026, 8, 1)
    clock.to(utc(2026, 7, 31, 13))  # in Auckland it is August already
    user = sign_up(connection)
    with clock.database.connect(options=f"-c timezone={zone}") as theirs:
        set_grant(theirs, user, 100, "month")
        set_grant(theirs, user, 5, "day", name="daily")
        assert spend(theirs, user, 50) == ""
        for at in (utc(2026, 7, 31, 14), august - 2 * SECOND):
            clock.to(at)
            assert at.astimezone(ZoneInfo("Pacific/Auckland")).month == 8
            assert spendable(theirs, user) == SIGNUP_BONUS + 55
        for at in (august, august + timedelta(hours=6)):  # in Los Angeles it is July still
            clock.to(at)
            assert at.astimezone(ZoneInfo("America/Los_Angeles")).month == 7
            assert spendable(theirs, user) == SIGNUP_BONUS + 105
        assert spend(theirs, user) == ""
        assert [row[2] for row in ledger(theirs, user, "monthly_bonus", "bonus")][2:] == [august, august]


def test_a_lot_is_gone_at_its_instant(clock: Clock, connection: Connection) -> None:
    clock.to(utc(2026, 5, 5, 5))
    user = sign_up(connection)
    ends = utc(2026, 5, 5, 6)
    add(connection, user, 10, ends)
    clock.to(ends - 2 * SECOND)
    assert spendable(connection, user) == SIGNUP_BONUS + 10
    clock.to(ends)
    assert spendable(connection, user) == SIGNUP_BONUS
    assert spend(connection, user, SIGNUP_BONUS + 1) == "insufficient_credits"
    assert spend(connection, user) == ""
    assert ledger(connection, user, "expiration") == [("expiration", -10, ends)]


def test_a_hold_ends_at_its_instant_and_its_credits_with_their_own(clock: Clock, connection: Connection) -> None:
    clock.to(utc(2026, 5, 5, 5))
    user = sign_up(connection)
    add(connection, user, 10, utc(2026, 5, 5, 6))
    hold = connection.execute(
        "select h.id, h.expires_at from public.reserve_credits_for(%s, 8, interval '2 hours') as h", [user]
    ).fetchone()
    assert hold
    clock.to(utc(2026, 5, 5, 6))
    assert spendable(connection, user) == SIGNUP_BONUS  # the two that were free are gone, the held ones are not
    clock.to(hold[1] - 2 * SECOND)
    assert spendable(connection, user) == SIGNUP_BONUS
    clock.to(hold[1])
    with pytest.raises(psycopg.Error, match="hold_not_active") as refused:
        connection.execute("select public.capture_hold_for(%s, %s)", [user, hold[0]])
    assert '"expired"' in str(refused.value.diag.message_detail)
    assert spend(connection, user, SIGNUP_BONUS + 1) == "insufficient_credits"
    assert spend(connection, user) == ""
    assert ledger(connection, user, "expiration") == [
        ("expiration", -2, utc(2026, 5, 5, 6)), ("expiration", -8, hold[1].astimezone(UTC)),
    ]  # fmt: skip


def test_a_daily_limit_starts_anew_at_midnight_utc(clock: Clock, connection: Connection) -> None:
    clock.to(utc(2026, 6, 30, 9))
    user = sign_up(connection)
    assert spend(connection, user, SIGNUP_BONUS) == ""
    set_grant(connection, user, 5, "day")
    for day in range(3):
        midnight = utc(2026, 7, 1) + timedelta(days=day)
        assert [spend(connection, user) for _ in range(6)] == [""] * 5 + ["insufficient_credits"]
        clock.to(midnight - 2 * SECOND)
        assert spend(connection, user) == "insufficient_credits"
        clock.to(midnight)
    assert spendable(connection, user) == 5
