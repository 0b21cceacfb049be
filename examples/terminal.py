"""A balance that stays true in a terminal, each Enter spends a credit: python -m examples.terminal <user id>"""

import asyncio
import os
import sys
from contextlib import suppress
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from credits_db import AsyncClient, CreditsError, CreditsProvider, CreditsState


def show(state: CreditsState) -> None:
    print("..." if state.is_loading else f"{state.credits_remaining} credits", state.error or "", flush=True)


async def main() -> None:
    async with AsyncConnectionPool(os.environ["DATABASE_URL"], open=False) as pool:
        provider = CreditsProvider(AsyncClient(pool).as_user(UUID(sys.argv[1])))
        provider.listen(show)
        await provider.load()
        following = asyncio.create_task(provider.follow())  # what others do shows, too
        while await asyncio.to_thread(sys.stdin.readline):
            with suppress(CreditsError):  # show() says it
                await provider.consume()
        following.cancel()


asyncio.run(main())
