"""Stripe and RevenueCat call a FastAPI app: uvicorn examples.fastapi_webhooks:app"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from psycopg_pool import AsyncConnectionPool

from credits_db import AsyncClient, CreditsError
from credits_db.webhooks import handle_revenuecat, handle_stripe

unprepared = {"prepare_threshold": None}  # so that the address may be that of a pooler
pool = AsyncConnectionPool(os.environ["DATABASE_URL"], kwargs=unprepared, open=False)
client = AsyncClient(pool)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with pool:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/webhooks/stripe")
async def stripe(request: Request) -> dict[str, str]:
    secret = os.environ["STRIPE_WEBHOOK_SECRET"]
    event = await handle_stripe(await request.body(), request.headers, client, secrets=secret)
    return {"state": event.state}  # 200 whatever became of it: credits-db events list


@app.post("/webhooks/revenuecat")
async def revenuecat(request: Request) -> dict[str, str]:
    secret = os.environ["REVENUECAT_WEBHOOK_SECRET"]
    event = await handle_revenuecat(await request.body(), request.headers, client, secrets=secret)
    return {"state": event.state}


@app.exception_handler(CreditsError)
async def refuse(request: Request, error: CreditsError) -> JSONResponse:
    return JSONResponse({"error": error.token}, error.status)  # 401 forged, 400 no JSON, 413 too large
