// What TypeScript knows of the RPCs, the rows and the computed fields from types/database.ts. This is compiled, not
// run: a right use that does not compile is an error, and so is a wrong use that does.
import { createClient } from '@supabase/supabase-js'
import type { CompositeTypes, Database, Json, Tables } from '../../types/database.js'

// Exactly that type, which `any` is not.
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function sure<T extends true>(): void

const supabase = createClient<Database>('http://localhost', 'key')
const user_id = crypto.randomUUID()
const hold_id = crypto.randomUUID()
const project_id = crypto.randomUUID()
const idempotency_key = crypto.randomUUID()
const since = new Date().toISOString()
const sale = { store: 'app_store', transaction_id: '100000000000000' }

// Every RPC is called here, or this does not compile; the webhooks are for the stores.
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
  export_user_data_for: supabase.rpc('export_user_data_for', { user_id }),
  record_purchase_for: supabase.rpc('record_purchase_for', {
    user_id, ...sale, product_id: 'pack', price_cents: 999, currency: 'USD', environment: 'SANDBOX', quantity: 2, payload: { receipt: 'x' },
  }),
  refund_purchase: supabase.rpc('refund_purchase', { ...sale, refund_id: 'r1', credits: 20, environment: 'SANDBOX' }),
  grant_entitlement_for: supabase.rpc('grant_entitlement_for', { user_id, entitlement: 'pro', active_until: since }),
  has_entitlement: supabase.rpc('has_entitlement', { entitlement: 'pro' }),
  has_entitlement_for: supabase.rpc('has_entitlement_for', { user_id, entitlement: 'pro' }),
  process_revenuecat_event: supabase.rpc('process_revenuecat_event', { body: { event: { id: '1', aliases: [] } }, deferred: true }),
  process_stripe_event: supabase.rpc('process_stripe_event', { body: { id: 'evt_1' } }),
  reprocess_store_event: supabase.rpc('reprocess_store_event', { provider: 'stripe', event_id: 'evt_1' }),
  run_maintenance: supabase.rpc('run_maintenance', { max_items: 10 }),
  refund_consumption_for: supabase.rpc('refund_consumption_for', { user_id, seq: 7, amount: 1, description: 'It failed', idempotency_key }),
  reserve_credits_for: supabase.rpc('reserve_credits_for', { user_id, amount: 9, expires_in: '15 minutes', metadata: { job: 1 }, idempotency_key }),
  capture_hold_for: supabase.rpc('capture_hold_for', { user_id, hold_id, amount: 4, idempotency_key }),
  release_hold_for: supabase.rpc('release_hold_for', { user_id, hold_id }),
  set_recurring_grant: supabase.rpc('set_recurring_grant', { name: 'pro', amount: 100, period: 'month', entitlement: 'pro', rollover: true }),
  end_recurring_grant: supabase.rpc('end_recurring_grant', { name: 'pro' }),
  set_alert_for: supabase.rpc('set_alert_for', { user_id, alert_below: 5 }),
  claim_outbox: supabase.rpc('claim_outbox', { max_items: 10, lease: '5 minutes' }),
  ack_outbox: supabase.rpc('ack_outbox', { ids: [crypto.randomUUID()] }),
  consume_credit_and_create_export: supabase.rpc('consume_credit_and_create_export', { project_id, type: 'png', options: { scale: 2 }, layer_ids: [project_id], idempotency_key }),
  consume_credit_and_create_export_for: supabase.rpc('consume_credit_and_create_export_for', { user_id, project_id, type: 'png' }),
  get_user_stats: supabase.rpc('get_user_stats'),
  get_user_stats_for: supabase.rpc('get_user_stats_for', { user_id }),
} satisfies Record<
  Exclude<keyof Database['public']['Functions'], 'credits' | 'credits_available' | 'id' | 'revenuecat_webhook' | 'stripe_webhook'>,
  unknown
>

// Every table and view is read here with each of its columns and computed fields, or this does not compile.
const tables = {
  credit_holds: supabase.from('credit_holds').select('amount, captured_amount, created_at, description, ended_at, expires_at, id, idempotency_key, metadata, seq, status, user_id'),
  credit_products: supabase.from('credit_products').select('active_from, active_to, bonus_credits, credits, currency, entitlement, expires_after, price_cents, product_id, store, trial_credits, updated_at'),
  credit_transactions: supabase.from('credit_transactions').select('amount, balance_after, created_at, description, idempotency_key, metadata, seq, type, user_id, id'),
  exports: supabase.from('exports').select('asset_path, asset_url, created_at, error_message, id, idempotency_key, layer_ids, options, paid_by, project_id, seq, status, type, updated_at, user_id'),
  profiles: supabase.from('profiles').select('created_at, email, id, updated_at, credits'),
  project_layers: supabase.from('project_layers').select('bbox, created_at, height, id, name, png_path, png_url, project_id, transform, visible, width, z_index'),
  projects: supabase.from('projects').select('created_at, id, manifest_path, params, source_image_path, status, thumbnail_path, updated_at, user_id'),
  purchase_transactions: supabase.from('purchase_transactions').select('created_at, credits, credits_expire_at, currency, entitled_until, entitlements, environment, payload, price_cents, product_id, provider, quantity, refunded_credits, seq, status, store, transaction_id, user_id, verified_at'),
  user_credits: supabase.from('user_credits').select('alert_below, created_at, credits_held, credits_remaining, last_bonus_date, last_hold_at, last_purchase_at, last_seq, monthly_bonus_credits, next_due_at, total_credits, updated_at, used_credits, user_id, credits_available'),
  user_entitlements: supabase.from('user_entitlements').select('active_since, active_until, entitlement, granted_by, granted_until, source, transferred_at, updated_at, user_id'),
  users: supabase.from('users').select('credits_balance, email, id'),
} satisfies Record<keyof (Database['public']['Tables'] & Database['public']['Views']), unknown>
type Rows = { [Name in keyof typeof tables]: NonNullable<Awaited<(typeof tables)[Name]>['data']>[number] }
sure<Same<Rows, { [Name in keyof Rows]: Tables<Name> }>>()

// What they answer. A row has its computed fields only where they are asked for.
type Entry = Omit<Tables<'credit_transactions'>, 'id'>
type Account = Omit<Tables<'user_credits'>, 'credits_available'>
// Attributes of a composite type may all be null, to its generator.
type Composites = {
  account_deletion: { user_id: string; deleted_at: string; credits_written_off: number; removed: Json }
  credit_usage: { consumed: number; refunded: number; operations: number }
  ledger_violation: { user_id: string; seq: number; rule: string; expected: number; found: number; hold_id: string }
  maintenance_report: { store_events: number; store_events_waiting: number; accounts: number; expirations: number; holds: number; grants: number }
  outbox_item: { id: string; kind: string; user_id: string; payload: Json; attempts: number; created_at: string }
  recurring_grant: { user_id: string; name: string; entitlement: string; amount: number; period: 'day' | 'week' | 'month'; rollover: boolean; starts_at: string; ends_at: string }
  store_event: { provider: string; event_id: string; type: string; state: 'pending' | 'parked' | 'failed' | 'ignored' | 'processed'; reason: string; details: Json; user_id: string; store: string; environment: string; transaction_id: string; product_id: string; attempts: number; received_at: string; processed_at: string }
  user_stats: { projects: number; exports: number; lifetime_exports: number; account_age: string; credits: number }
}
type Maybe<T> = { [Field in keyof T]: T[Field] | null }
sure<Same<Database['public']['CompositeTypes'], { [Name in keyof Composites]: Maybe<Composites[Name]> }>>()
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
      export_user_data_for: NonNullable<Json>
      record_purchase_for: Tables<'purchase_transactions'>
      refund_purchase: Tables<'purchase_transactions'>
      grant_entitlement_for: Tables<'user_entitlements'>
      has_entitlement: boolean
      has_entitlement_for: boolean
      process_revenuecat_event: CompositeTypes<'store_event'>
      process_stripe_event: CompositeTypes<'store_event'>
      reprocess_store_event: CompositeTypes<'store_event'>
      run_maintenance: CompositeTypes<'maintenance_report'>
      refund_consumption_for: Entry
      reserve_credits_for: Tables<'credit_holds'>
      capture_hold_for: Entry
      release_hold_for: Tables<'credit_holds'>
      set_recurring_grant: CompositeTypes<'recurring_grant'>
      end_recurring_grant: CompositeTypes<'recurring_grant'>
      set_alert_for: Account
      claim_outbox: CompositeTypes<'outbox_item'>[]
      ack_outbox: number
      consume_credit_and_create_export: Tables<'exports'>
      consume_credit_and_create_export_for: Tables<'exports'>
      get_user_stats: CompositeTypes<'user_stats'>
      get_user_stats_for: CompositeTypes<'user_stats'>
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

const { data: on_sale } = await supabase.from('credit_products').select('product_id, credits, price_cents').throwOnError()
const prices: (number | null)[] = on_sale.map((product) => product.price_cents)
const { data: bought } = await supabase.from('purchase_transactions').select('credits, status, entitlements').throwOnError()
const kept: string[] = bought.flatMap((purchase) => (purchase.status === 'refunded' ? [] : purchase.entitlements))
const waiting: boolean = (await calls.process_stripe_event).data?.state === 'pending'

const { data: holds } = await supabase.from('credit_holds').select('id, amount, status, expires_at').throwOnError()
const active: string[] = holds.flatMap((hold) => (hold.status === 'active' ? [hold.id] : []))
const { data: low } = await calls.claim_outbox
const warned: (string | null)[] | undefined = low?.map((item) => item.user_id)
const expired: number | null | undefined = (await calls.run_maintenance).data?.expirations

const { data: mine } = await supabase.from('projects').insert({ user_id, status: 'draft' }).select('id, created_at').single().throwOnError()
const layers = await supabase.from('project_layers').select('name, z_index').eq('project_id', mine.id).order('z_index').throwOnError()
const exported: string | null | undefined = (await calls.consume_credit_and_create_export).data?.paid_by
const { data: me } = await supabase.from('profiles').select('email, credits').single().throwOnError()
const credits: number | null = me.credits
const { data: everybody } = await supabase.from('users').select('email, credits_balance').throwOnError()

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
// @ts-expect-error: a purchase that does not say of what
supabase.rpc('record_purchase_for', { user_id, ...sale })
// @ts-expect-error: a refund without its id
supabase.rpc('refund_purchase', { ...sale, credits: 20 })
// @ts-expect-error: an export without its type
supabase.rpc('consume_credit_and_create_export', { project_id })
// @ts-expect-error: a payment that no export has
const gift: boolean = (await calls.consume_credit_and_create_export).data?.paid_by === 'gift'
// @ts-expect-error: a hold without its user
supabase.rpc('capture_hold_for', { hold_id })
// @ts-expect-error: a refund that does not say of what
supabase.rpc('refund_consumption_for', { user_id, amount: 1 })
// @ts-expect-error: a period that no grant has
supabase.rpc('set_recurring_grant', { name: 'pro', amount: 100, period: 'year', user_id })
// @ts-expect-error: one id where many are taken
supabase.rpc('ack_outbox', { ids: hold_id })
// @ts-expect-error: a status that no hold has
const ended: boolean = holds[0]!.status === 'done'
// @ts-expect-error: a state that no event has
const done: boolean = (await calls.process_stripe_event).data?.state === 'done'
// @ts-expect-error: a figure taken for text
const text: string = spent!.balance_after
// @ts-expect-error: a computed field that was not asked for
spent!.id
