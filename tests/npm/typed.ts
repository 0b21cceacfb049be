// What TypeScript knows of the RPCs, the rows and the computed fields from types/database.ts. This is compiled, not
// run: a right use that does not compile is an error, and so is a wrong use that does.
import { createClient } from '@supabase/supabase-js'
import type { CompositeTypes, Database, Json, Tables } from '../../types/database.js'

// Exactly that type, which `any` is not.
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function sure<T extends true>(): void

const supabase = createClient<Database>('http://localhost', 'key')
const user_id = crypto.randomUUID()
const idempotency_key = crypto.randomUUID()
const since = new Date().toISOString()

// Every RPC is called here, or this does not compile.
const calls = {
  consume_credit: supabase.rpc('consume_credit', { amount: 2, description: 'A film', metadata: { job: 1 }, idempotency_key }),
  consume_credit_for: supabase.rpc('consume_credit_for', { user_id, amount: 2, idempotency_key }),
  add_credits_for: supabase.rpc('add_credits_for', { user_id, amount: 9, type: 'purchase', expires_at: since }),
  get_user_credits: supabase.rpc('get_user_credits'),
  get_user_credits_for: supabase.rpc('get_user_credits_for', { user_id }),
  get_transaction_history: supabase.rpc('get_transaction_history', { page_size: 10, before_seq: 7, type: 'refund' }),
  get_transaction_history_for: supabase.rpc('get_transaction_history_for', { user_id }),
  get_operation: supabase.rpc('get_operation', { idempotency_key }),
  get_operation_for: supabase.rpc('get_operation_for', { user_id, idempotency_key }),
  get_usage: supabase.rpc('get_usage', { since }),
  get_usage_for: supabase.rpc('get_usage_for', { user_id, since, until: since }),
  get_balance_at_for: supabase.rpc('get_balance_at_for', { user_id, at: since }),
  explain_balance_for: supabase.rpc('explain_balance_for', { user_id }),
  verify_ledger: supabase.rpc('verify_ledger'),
  delete_user_account: supabase.rpc('delete_user_account'),
  delete_user_account_for: supabase.rpc('delete_user_account_for', { user_id }),
} satisfies Record<Exclude<keyof Database['public']['Functions'], 'credits_available' | 'id'>, unknown>

// What they answer. A row has its computed fields only where they are asked for.
type Entry = Omit<Tables<'credit_transactions'>, 'id'>
type Account = Omit<Tables<'user_credits'>, 'credits_available'>
type Answers = { [Name in keyof typeof calls]: NonNullable<Awaited<(typeof calls)[Name]>['data']> }
sure<
  Same<
    Answers,
    {
      consume_credit: Entry
      consume_credit_for: Entry
      add_credits_for: Entry
      get_user_credits: Account
      get_user_credits_for: Account
      get_transaction_history: Entry[]
      get_transaction_history_for: Entry[]
      get_operation: Entry[]
      get_operation_for: Entry[]
      get_usage: CompositeTypes<'credit_usage'>
      get_usage_for: CompositeTypes<'credit_usage'>
      get_balance_at_for: number
      explain_balance_for: NonNullable<Json>
      verify_ledger: CompositeTypes<'ledger_violation'>[]
      delete_user_account: CompositeTypes<'account_deletion'>
      delete_user_account_for: CompositeTypes<'account_deletion'>
    }
  >
>()

const { data: spent, error } = await calls.consume_credit
const left: number | undefined = spent?.balance_after
const short: boolean = error?.message === 'insufficient_credits' && JSON.parse(error.details).credits_available < 2
const { data: account } = await supabase.from('user_credits').select('*, credits_available').single().throwOnError()
const available: number | null = account.credits_available
const { data: entries } = await supabase.rpc('get_transaction_history').select('id, type').throwOnError()
const names: (string | null)[] = entries.map((entry) => entry.id)

supabase.from('credit_transactions').insert({ user_id, type: 'bonus', amount: 3 })

// @ts-expect-error: the name of an argument
supabase.rpc('consume_credit', { credits: 2 })
// @ts-expect-error: the type of an argument
supabase.rpc('consume_credit', { amount: '2' })
// @ts-expect-error: null for what is left out instead
supabase.rpc('consume_credit', { amount: 2, idempotency_key: null })
// @ts-expect-error: an argument that is missing
supabase.rpc('consume_credit_for', { amount: 2 })
// @ts-expect-error: a user where the token names them
supabase.rpc('get_user_credits', { user_id })
// @ts-expect-error: a value that the type of a transaction does not have
supabase.rpc('add_credits_for', { user_id, amount: 9, type: 'gift' })
// @ts-expect-error: a function that is not there
supabase.rpc('consume_credits', { amount: 2 })
// @ts-expect-error: a figure taken for text
const text: string = spent!.balance_after
// @ts-expect-error: a computed field that was not asked for
spent!.id
