"""`supabase db advisors`: the security and performance advisors of the dashboard, as many of them as the CLI brings.

The two that it lacks, about definer functions, are in tests/sql/nothing_in_public_goes_around_row_security.sql.
"""

from __future__ import annotations

import json

from conftest import Database

from supabase_cli.conftest import Supabase

ADVISORS = ["db", "advisors", "--type", "all", "--level", "info", "--output-format", "json"]
# Only a database in use has used its indexes; these serve deletions (whose is it?), maintenance (what is due?),
# a user's lots and holds among many that have ended, and the lists of the app.
UNUSED = [
    f"INFO unused_index: Index `{index}` on table `{table}` has not been used"
    for table, index in (
        ("public.credit_holds", "credit_holds_active"),
        ("public.exports", "exports_project_id_created_at_idx"),
        ("public.project_layers", "project_layers_project_id_z_index_idx"),
        ("public.projects", "projects_user_id_created_at_idx"),
        ("credits_private.credit_lots", "credit_lots_open"),
        ("credits_private.due_accounts", "due_accounts_due_at"),
        ("credits_private.outbox", "outbox_claimable_at"),
        ("credits_private.outbox", "outbox_user_id"),
        ("credits_private.purchase_claims", "purchase_claims_entitled_user_id"),
        ("credits_private.purchase_claims", "purchase_claims_user_id"),
        ("credits_private.store_customers", "store_customers_user_id"),
        ("credits_private.store_event_names", "store_event_names_event_id"),
        ("credits_private.store_events", "store_events_retry_at"),
        ("credits_private.store_events", "store_events_user_id"),
    )
]
CANARIES = """
create table public.canary (account uuid references public.user_credits);
create view public.canaries as select * from public.canary;
grant select on public.canary, public.canaries to authenticated;
create table credits_private.canary (id bigint primary key, locked_out bigint);
alter table credits_private.canary enable row level security;
create index canary_1 on credits_private.canary (locked_out);
create index canary_2 on credits_private.canary (locked_out);
create function credits_private.canary() returns integer language sql as 'select 1';
"""


def advice(supabase: Supabase, database: Database) -> list[str]:
    done = supabase(database, *ADVISORS)
    assert done.returncode == 0, done.stderr
    return [f"{found['level']} {found['name']}: {found['detail']}" for found in json.loads(done.stdout)["results"]]


def test_the_advisors_find_nothing_at_any_level_but_indexes_of_a_new_database(
    supabase: Supabase, app: Database
) -> None:
    assert sorted(advice(supabase, app)) == sorted(UNUSED)


def test_the_advisors_would_find_what_is_wrong_in_either_schema(supabase: Supabase, app: Database) -> None:
    with app.connect() as connection:
        connection.execute(CANARIES)
    assert {found.partition(":")[0] for found in advice(supabase, app)} == {
        "ERROR rls_disabled_in_public",
        "ERROR security_definer_view",
        "INFO no_primary_key",
        "INFO rls_enabled_no_policy",
        "INFO unindexed_foreign_keys",
        "INFO unused_index",
        "WARN duplicate_index",
        "WARN function_search_path_mutable",
    }
