-- The credits track: what it is, in the order in which it can be made.
--
-- For a reader a table of contents; for psql -f an installer; for credits-db push nothing, since it applies
-- migrations/, which a test proves to build this same database.

\ir schemas.sql
\ir types/credit_transaction_type.sql
\ir types/credit_usage.sql
\ir types/account_deletion.sql
\ir types/ledger_violation.sql
\ir tables/migrations.sql
\ir tables/yoyo.sql
\ir private/record_migration.sql
\ir private/now.sql
\ir tables/settings.sql
\ir private/set_setting.sql
\ir tables/user_credits.sql
\ir tables/credit_transactions.sql

\ir private/current_user_id.sql
\ir private/check_entry.sql
\ir private/signup_bonus_for.sql
\ir private/refuse_spend.sql
\ir private/move_balance.sql
\ir private/post.sql
\ir private/open_account.sql
\ir private/open_accounts.sql
\ir private/lock_account.sql
\ir private/find_replay.sql
\ir private/is_unused.sql
\ir private/spend.sql
\ir private/add_credits.sql
\ir private/erase_account.sql
\ir private/read_account.sql
\ir private/read_history.sql
\ir private/read_operation.sql
\ir private/read_usage.sql
\ir private/read_balance_at.sql
\ir private/verify_ledger.sql
\ir private/explain_balance.sql

\ir fields/credits_available.sql
\ir fields/id.sql
\ir rpc/consume_credit.sql
\ir rpc/consume_credit_for.sql
\ir rpc/add_credits_for.sql
\ir rpc/get_user_credits.sql
\ir rpc/get_user_credits_for.sql
\ir rpc/get_transaction_history.sql
\ir rpc/get_transaction_history_for.sql
\ir rpc/get_operation.sql
\ir rpc/get_operation_for.sql
\ir rpc/get_usage.sql
\ir rpc/get_usage_for.sql
\ir rpc/get_balance_at_for.sql
\ir rpc/explain_balance_for.sql
\ir rpc/verify_ledger.sql
\ir rpc/delete_user_account.sql
\ir rpc/delete_user_account_for.sql

\ir triggers/post_transaction.sql
\ir triggers/keep_ledger.sql
\ir triggers/keep_accounts.sql
\ir triggers/remove_ledger.sql

\ir references/user_credits.sql
\ir triggers/open_account_on_signup.sql
\ir policies/user_credits.sql
\ir policies/credit_transactions.sql
