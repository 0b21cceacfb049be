"""The subscription of docs/supabase.md, made by supabase-js; the Realtime server, which cannot run here, is played."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from conftest import ROOT
from stack import NODE, NPM
from test_readme import blocks

USER = "ada00000-0000-4000-8000-000000000000"
# A WebSocket that answers as Realtime does: it lets everybody in, tells of a change, goes, and lets them in again.
PROGRAM = """
import { createClient } from '@supabase/supabase-js'

const joins = [], shown = []
let asked = 0
class Realtime {
  static all = []
  readyState = 0
  bufferedAmount = 0
  constructor(url) {
    Realtime.all.push(this)
    setTimeout(() => { this.readyState = 1; this.onopen?.({}) })
  }
  send(text) {
    const [join_ref, ref, topic, event, payload] = JSON.parse(text)
    if (event !== 'phx_join') return
    const [wanted] = payload.config.postgres_changes
    joins.push([topic, payload.config.postgres_changes])
    const tell = (...message) => setTimeout(() => this.onmessage?.({ data: JSON.stringify(message) }))
    const response = { postgres_changes: [{ id: 7, ...wanted }] }
    tell(join_ref, ref, topic, 'phx_reply', { status: 'ok', response })
    if (joins.length > 1) return
    const columns = ['credits_remaining', 'credits_held'].map((name) => ({ name, type: 'int8' }))
    const data = { ...wanted, type: 'UPDATE', columns, record: { credits_remaining: 9, credits_held: 2 }, errors: null }
    const commit_timestamp = new Date().toISOString()
    tell(null, null, topic, 'postgres_changes', { ids: [7], data: { ...data, commit_timestamp } })
    tell(join_ref, null, topic, 'phx_error', {})
  }
  close() { this.readyState = 3; this.onclose?.({ code: 1000, wasClean: true }) }
}
const fetch = async (url) => {
  asked += 1
  return Response.json({ credits_remaining: 30, credits_held: asked, url: String(url) })
}
const supabase = createClient('http://project.test', 'key', {
  auth: { persistSession: false },
  global: { fetch },
  realtime: { transport: Realtime, reconnectAfterMs: () => 1 },
})
const userId = %s
const showCredits = (credits) => {
  shown.push(credits)
  if (asked < 2) return
  console.log(JSON.stringify({ joins, shown }))
  process.exit(0)
}
setTimeout(() => { console.log(JSON.stringify({ joins, shown })); process.exit(1) }, 20000)
%s
"""


def test_the_app_listens_to_its_own_balance_and_asks_whenever_the_line_is_up_as_written() -> None:
    _, _, listen = blocks("js", ROOT / "docs" / "supabase.md")
    program = PROGRAM % (json.dumps(USER), listen)
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", program], cwd=NPM, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    wanted = {"event": "UPDATE", "schema": "public", "table": "user_credits", "filter": f"user_id=eq.{USER}"}
    assert [
        (topic, [{name: change[name] for name in wanted} for change in changes]) for topic, changes in told["joins"]
    ] == [("realtime:credits", [wanted])] * 2
    assert sorted(told["shown"]) == [7, 28, 29]
