"""Stripe and RevenueCat call a Flask app: flask --app examples.flask_webhooks run"""

import os

from flask import Flask, request
from psycopg_pool import ConnectionPool

from credits_db import Client, CreditsError
from credits_db.webhooks import handle_revenuecat, handle_stripe

unprepared = {"prepare_threshold": None}  # so that the address may be that of a pooler
pool = ConnectionPool(os.environ["DATABASE_URL"], kwargs=unprepared, open=True)
client = Client(pool)
app = Flask(__name__)


@app.post("/webhooks/stripe")
def stripe() -> dict[str, str]:
    secret = os.environ["STRIPE_WEBHOOK_SECRET"]
    event = handle_stripe(request.get_data(), dict(request.headers), client, secrets=secret)
    return {"state": event.state}  # 200 whatever became of it: credits-db events list


@app.post("/webhooks/revenuecat")
def revenuecat() -> dict[str, str]:
    secret = os.environ["REVENUECAT_WEBHOOK_SECRET"]
    event = handle_revenuecat(request.get_data(), dict(request.headers), client, secrets=secret)
    return {"state": event.state}


@app.errorhandler(CreditsError)
def refuse(error: CreditsError) -> tuple[dict[str, str], int]:
    return {"error": error.token}, error.status  # 401 forged, 400 no JSON, 413 too large
