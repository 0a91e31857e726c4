"""How clients are configured."""

from pathlib import Path

import pytest

from orchestrator.storage import s3_client
from tests.s3.server import use

KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}


def _style() -> str | None:
    client = s3_client.s3_client(s3_client.aws_session())
    found = getattr(client.meta.config, "s3", None) or {}
    return found.get("addressing_style")


def test_own_servers_are_addressed_by_path_and_amazon_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    use({**KEYS, "AWS_REGION": "eu-central-1"}, monkeypatch)
    assert _style() is None
    use({**KEYS, "AWS_ENDPOINT_URL": "https://minio.example.org"}, monkeypatch)
    assert _style() == "path"
    use({**KEYS, "AWS_ENDPOINT_URL_S3": "https://minio.example.org"}, monkeypatch)
    assert _style() == "path"


def test_an_addressing_style_of_the_users_own_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\ns3 =\n  addressing_style = virtual\n")
    use({**KEYS, "AWS_ENDPOINT_URL": "https://s3.example.org", "AWS_CONFIG_FILE": str(config)}, monkeypatch)
    assert _style() == "virtual"


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_region(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    use({**KEYS, name: "eu-west-3"}, monkeypatch)
    assert s3_client.aws_session().region_name == "eu-west-3"


def test_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").write_text("[team]\naws_access_key_id = team-key\naws_secret_access_key = team-secret\n")
    (tmp_path / "config").write_text(
        "[profile team]\nregion = eu-north-1\nservices = own\n[services own]\ns3 =\n"
        "  endpoint_url = http://127.0.0.1:9\n"
    )
    use(
        {
            "AWS_PROFILE": "team",
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        },
        monkeypatch,
    )
    session = s3_client.aws_session()
    credentials = session.get_credentials()
    assert credentials is not None and credentials.access_key == "team-key" and session.region_name == "eu-north-1"
    assert s3_client.s3_client(session).meta.endpoint_url == "http://127.0.0.1:9"


def test_attempts_of_the_users_own_count(monkeypatch: pytest.MonkeyPatch) -> None:
    use({**KEYS, "AWS_MAX_ATTEMPTS": "4"}, monkeypatch)
    client = s3_client.s3_client(s3_client.aws_session())
    assert client.meta.config.retries["total_max_attempts"] == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://s3.amazonaws.com", True),
        ("https://s3.cn-north-1.amazonaws.com.cn", True),
        ("http://127.0.0.1:9000", False),
        ("https://amazonaws.com.example.org", False),
    ],
)
def test_is_aws(url: str, expected: bool) -> None:
    assert s3_client.is_aws(url) is expected
