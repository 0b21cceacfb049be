// Runs supabase-js for the tests. A line of standard input is a JSON object {url, key, token, code, scope}: `code` is
// run as the body of an async function that knows `supabase` and the names in scope. What it returns is answered as
// one line of JSON, {result}, or {error} when it throws.
import { createInterface } from 'node:readline'
import { createClient } from '@supabase/supabase-js'

console.log = console.error // standard output is for answers
const AsyncFunction = (async () => {}).constructor

async function run({ url, key, token, code, scope }) {
  const options = token ? { accessToken: async () => token } : { auth: { persistSession: false } }
  const names = { supabase: createClient(url, key, options), ...scope }
  return new AsyncFunction(...Object.keys(names), code)(...Object.values(names))
}

for await (const line of createInterface({ input: process.stdin })) {
  const reply = await run(JSON.parse(line)).then(
    (result) => ({ result }),
    (error) => ({ error: error?.stack ?? String(error) }),
  )
  process.stdout.write(JSON.stringify(reply) + '\n')
}
