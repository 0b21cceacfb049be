"""python /tmp/w/repro5.py file.sql : runs story in a fresh clone"""
import sys, re, uuid
sys.path.insert(0,"tests")
def test_repro(templates):
    from test_model import SETUP, Arena
    import os, json
    import pathlib; text=pathlib.Path(os.environ["STORY"]).read_text()
    ids={s:str(uuid.uuid4()) for s in set(re.findall(r"~\d\.\d+~", text))}
    for k,v in ids.items(): text=text.replace(k,v)
    with templates.clone("plain") as d, d.connect() as c:
        c.execute(SETUP); P=pathlib.Path("/tmp/w/patch5.py"); exec(P.read_text(), {"c": c}) if P.exists() else None
        c.execute("set timezone='UTC'")
        for line in text.splitlines():
            m=re.match(r"\s*/\* (\S+) \*/ (.*);\s*$", line)
            if m:
                c.execute("select set_config('model.now', %s, false)",[m[1]])
                line=m[2]
            if not line.strip(): continue
            try:
                cur=c.execute(line)
                for r in (cur.fetchall() if cur.description else []): print("   ", *r)
            except Exception as e: print("  !!", e)
        for t in ("public.credit_transactions","credits_private.credit_lots","credits_private.lot_allocations","credits_private.hold_lots","public.credit_holds"):
            print(t)
            cur=c.execute(f"select * from {t}")
            names=[x.name for x in cur.description]
            keep=[i for i,n in enumerate(names) if n not in("metadata","idempotency_key")]
            for r in cur.fetchall(): print("   ", *[f"{names[i]}={r[i]}" for i in keep if names[i]!="user_id" or 1])
