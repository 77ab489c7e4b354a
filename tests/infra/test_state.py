"""The state folder keeps secrets, also when it comes from a version that knew fewer of them."""

import json
from pathlib import Path

from infra.local.state import State


def test_secrets_that_an_older_folder_lacks_are_added_and_the_others_kept(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    path = state.path / "secrets.json"
    older = {"database_password": "kept", "guest_secret": "kept too"}
    path.write_text(json.dumps(older))
    secrets = state.secrets()
    assert (secrets.database_password, secrets.guest_secret) == ("kept", "kept too")
    assert len(secrets.storage_webhook_secret) >= 32
    assert state.secrets() == secrets
    assert json.loads(path.read_text()).items() > older.items()
