"""People who signed in at the city's own service: bearer tokens of OpenID Connect.

A token is a signed statement (RFC 7519) of an issuer whose keys are published (RFC 7517) where its
discovery document says (OpenID Connect Discovery 1.0, section 4). Who it names gets the role and
areas of two claims; how these come into the token is the issuer's affair.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
import zlib
from typing import Any

from geo_service.errors import InputError, Phrase
from geo_service.roles import ROLES, Caller, Role
from geo_service.settings import Settings
from geo_service.store.keys import digest

# Signed by a key that only the issuer has: a shared secret would let any of its holders sign.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
LEEWAY_SECONDS = 30
ASK_AGAIN_SECONDS = 30.0
"""Between two questions for the issuer's keys, however many tokens name unknown ones."""

KEEP_SECONDS = 300.0
_TIMEOUT_SECONDS = 5.0
_MOST_BYTES = 1 << 20
_MOST_SEEN = 10_000
_FIRST_SEAT = 1 << 15  # below stand the numbers of API keys


class Tokens:
    """Tells whose a token is.

    Parameters
    ----------
    settings : Settings
        Those of OIDC.
    """

    def __init__(self, settings: Settings) -> None:
        try:
            import jwt
        except ImportError:
            raise InputError(
                "setting_invalid",
                name="GEO_SERVICE_OIDC_ISSUER",
                value=settings.oidc_issuer,
                reason=Phrase(
                    "请先安装：pip install 'geo-service[oidc]'", "pip install 'geo-service[oidc]'"
                ),
            ) from None
        self._jwt: Any = jwt
        self._settings = settings
        self._keys: Any = None
        self._asked_at = -ASK_AGAIN_SECONDS
        self._seen: dict[str, tuple[Caller, float]] = {}
        self._lock = threading.Lock()

    def caller(self, token: str) -> Caller:
        """Tell who holds a token; asks the issuer for its keys where need be.

        Raises
        ------
        InputError
            ``token_invalid``.
        """
        name = digest(token)
        known, until = self._seen.get(name, (None, 0.0))
        if known is not None and time.time() < until:
            return known
        try:
            kid = self._jwt.get_unverified_header(token).get("kid")
            claims = self._jwt.decode(
                token,
                self._key(kid),
                algorithms=ALGORITHMS,
                audience=self._settings.oidc_audience,
                issuer=self._settings.oidc_issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except self._jwt.PyJWTError as error:
            raise InputError("token_invalid", reason=error) from None
        found = self._named(claims)
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        self._seen[name] = (found, min(claims["exp"], time.time() + KEEP_SECONDS))
        return found

    def _key(self, kid: str | None) -> Any:
        with self._lock:
            key = self._find(kid)
            waited = time.monotonic() - self._asked_at
            if key is None and waited >= ASK_AGAIN_SECONDS:
                self._asked_at = time.monotonic()
                self._keys = self._ask()
                key = self._find(kid)
        if key is None:
            raise InputError(
                "token_invalid",
                reason=Phrase(
                    "签名用的密钥不在签发方公布之列",
                    "it is signed by a key the issuer does not name",
                ),
            )
        return key

    def _find(self, kid: str | None) -> Any:
        keys = self._keys.keys if self._keys is not None else []
        named = [key for key in keys if key.key_id == kid]
        return named[0] if len(named) == 1 else None

    def _ask(self) -> Any:
        issuer = self._settings.oidc_issuer
        try:
            told = _fetched(f"{issuer}/.well-known/openid-configuration")
            if told.get("issuer", "").rstrip("/") != issuer:
                raise InputError(
                    "token_invalid",
                    reason=Phrase("签发方自称的名称与此不符", "the issuer calls itself otherwise"),
                )
            return self._jwt.PyJWKSet.from_dict(_fetched(told["jwks_uri"]))
        except (OSError, ValueError, KeyError, self._jwt.PyJWTError) as error:
            if isinstance(error, InputError):
                raise
            reason = Phrase(
                f"读不到签发方的公钥（{type(error).__name__}）",
                f"the issuer's keys can't be read ({type(error).__name__})",
            )
            raise InputError("token_invalid", reason=reason) from None

    def _named(self, claims: dict[str, Any]) -> Caller:
        roles = [role for role in ROLES if role in _listed(claims, self._settings.oidc_role_claim)]
        role: Role | None = roles[-1] if roles else None
        areas = tuple(_listed(claims, self._settings.oidc_areas_claim)) if role == "planner" else ()
        subject = str(claims["sub"])
        name = str(claims.get("name") or claims.get("preferred_username") or subject)
        seat = _FIRST_SEAT + zlib.crc32(subject.encode()) % _FIRST_SEAT
        return Caller(name, role, areas, seat=seat, sees_persons=True)


def _listed(claims: dict[str, Any], name: str) -> list[str]:
    """Read a claim that is a list, or a text with commas or spaces."""
    value = claims.get(name, [])
    parts = value.replace(",", " ").split() if isinstance(value, str) else value
    return [str(part) for part in parts] if isinstance(parts, list) else []


def _fetched(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:
        return json.loads(answer.read(_MOST_BYTES))
