"""What operators call an LLM endpoint."""

import pytest

from stages.endpoint.client import service_name
from stages.endpoint.settings import LlmSettings


@pytest.mark.parametrize(
    ("url", "model", "name"),
    [
        ("https://api.example.com/v1", "m-1", "api.example.com/m-1"),
        ("http://10.0.0.5:8080/v1?key=sk-secret", "org/big model", "10.0.0.5:8080/org/big_model"),
        ("https://api.example.com/v1", "x" * 300, "api.example.com/" + "x" * 104),
    ],
)
def test_it_is_host_and_model_without_secrets(url: str, model: str, name: str) -> None:
    assert service_name(LlmSettings.model_validate({"base_url": url}), model) == name
