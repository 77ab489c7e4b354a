"""The keys of a local stack."""

import json
import stat
from pathlib import Path

import jwt
import pytest

from infra.local.keys import Keys


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys.generate()


def test_a_second_start_finds_the_same_keys(tmp_path: Path) -> None:
    first = Keys.load_or_create(tmp_path / "keys.json")

    assert Keys.load_or_create(tmp_path / "keys.json") == first


def test_the_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    Keys.load_or_create(tmp_path / "keys.json")

    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_every_project_has_keys_of_its_own() -> None:
    assert not set(vars(Keys.generate()).values()) & set(vars(Keys.generate()).values())


@pytest.mark.parametrize("role", ["anon", "service_role"])
def test_a_legacy_key_is_a_token_of_its_role(keys: Keys, role: str) -> None:
    key = {"anon": keys.anon_key, "service_role": keys.service_key}[role]

    claims = jwt.decode(key, keys.jwt_secret, algorithms=["HS256"])

    assert claims["role"] == role
    assert claims["iss"] == "supabase"


def test_a_legacy_key_is_the_same_every_time(keys: Keys) -> None:
    assert keys.anon_key == keys.anon_key
    assert keys.service_key == keys.service_key


def test_opaque_keys_are_told_by_their_prefix(keys: Keys) -> None:
    assert keys.publishable_key.startswith("sb_publishable_")
    assert keys.secret_key.startswith("sb_secret_")


@pytest.mark.parametrize("jwks", ["public", "verification"])
def test_a_token_is_verified_by_the_key_set_that_its_kid_names(keys: Keys, jwks: str) -> None:
    key_set = jwt.PyJWKSet.from_dict({"public": keys.public_jwks, "verification": keys.verification_jwks}[jwks]())
    token = keys.sign({"sub": "somebody"})
    header = jwt.get_unverified_header(token)

    claims = jwt.decode(token, key_set[header["kid"]], algorithms=["ES256"])

    assert claims == {"sub": "somebody"}


def test_the_verification_keys_contain_the_legacy_secret(keys: Keys) -> None:
    symmetric = next(key for key in keys.verification_jwks()["keys"] if key["kty"] == "oct")

    claims = jwt.decode(keys.sign({"sub": "x"}, "HS256"), jwt.PyJWK.from_dict(symmetric), algorithms=["HS256"])

    assert claims == {"sub": "x"}


def test_the_public_keys_give_no_secret_away(keys: Keys) -> None:
    published = keys.public_jwks()["keys"]

    assert [key["kty"] for key in published] == ["EC"]
    assert "d" not in published[0]
    assert keys.jwt_secret not in json.dumps(published)
