"""Sessions: access tokens of an hour, and refresh tokens that are good for one use."""

import hashlib
import secrets
import time
from typing import Any
from uuid import UUID

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from infra.local.keys import Keys
from infra.local.supabase import users
from infra.local.supabase.auth_errors import AuthError
from infra.local.supabase.pool import Connection

ACCESS_SECONDS = 3600


class Sessions:
    """Opens, renews and ends sessions."""

    def __init__(self, keys: Keys, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer

    async def open(self, connection: Connection, user: DictRow, method: str) -> dict[str, Any]:
        """A new session of the user, as the API shows it."""
        amr = [{"method": method, "timestamp": int(time.time())}]
        cursor = await connection.execute(
            "insert into auth.sessions (user_id, amr) values (%s, %s) returning *", (user["id"], Jsonb(amr))
        )
        session = await cursor.fetchone()
        assert session is not None
        await connection.execute("update auth.users set last_sign_in_at = now() where id = %s", (user["id"],))
        return await self._answer(connection, await users.find(connection, user["id"]), session)

    async def renew(self, connection: Connection, refresh_token: str) -> dict[str, Any] | None:
        """The session with new tokens; None where the token was used before, which ends the session."""
        digest = _digest(refresh_token)
        cursor = await connection.execute(
            "select session_id, revoked from auth.refresh_tokens where token_hash = %s for update", (digest,)
        )
        token = await cursor.fetchone()
        if token is None:
            message = "Invalid Refresh Token: Refresh Token Not Found"
            raise AuthError(400, "refresh_token_not_found", message)
        if token["revoked"]:
            await connection.execute("delete from auth.sessions where id = %s", (token["session_id"],))
            return None
        await connection.execute("update auth.refresh_tokens set revoked = true where token_hash = %s", (digest,))
        session = await self.find(connection, token["session_id"])
        return await self._answer(connection, await users.find(connection, session["user_id"]), session)

    async def find(self, connection: Connection, session_id: str | UUID) -> DictRow:
        cursor = await connection.execute("select * from auth.sessions where id = %s", (session_id,))
        session = await cursor.fetchone()
        if session is None:
            message = "Session from session_id claim in JWT does not exist"
            raise AuthError(403, "session_not_found", message)
        return session

    async def end(self, connection: Connection, session: DictRow, scope: str) -> None:
        """Ends this session (`local`), the user's other ones (`others`), or all of them (`global`)."""
        await connection.execute(
            """
            delete from auth.sessions where user_id = %(user)s
              and (%(scope)s = 'global' or (id = %(session)s) = (%(scope)s = 'local'))
            """,
            {"user": session["user_id"], "session": session["id"], "scope": scope},
        )

    async def _answer(self, connection: Connection, user: DictRow, session: DictRow) -> dict[str, Any]:
        refresh_token = secrets.token_urlsafe(18)
        await connection.execute(
            "insert into auth.refresh_tokens (token_hash, session_id) values (%s, %s)",
            (_digest(refresh_token), session["id"]),
        )
        now = int(time.time())
        return {
            "access_token": self._keys.sign(self._claims(user, session, now)),
            "token_type": "bearer",
            "expires_in": ACCESS_SECONDS,
            "expires_at": now + ACCESS_SECONDS,
            "refresh_token": refresh_token,
            "user": users.as_json(user),
        }

    def _claims(self, user: DictRow, session: DictRow, now: int) -> dict[str, object]:
        return {
            "iss": self._issuer,
            "sub": str(user["id"]),
            "aud": user["aud"],
            "exp": now + ACCESS_SECONDS,
            "iat": now,
            "email": user["email"] or "",
            "phone": user["phone"] or "",
            "app_metadata": user["raw_app_meta_data"],
            "user_metadata": user["raw_user_meta_data"],
            "role": user["role"],
            "aal": "aal1",
            "amr": session["amr"],
            "session_id": str(session["id"]),
            "is_anonymous": user["is_anonymous"],
        }


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
