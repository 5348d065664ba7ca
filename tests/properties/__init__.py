"""A property-based state machine over the engine's verbs."""

import pytest

pytest.register_assert_rewrite("tests.properties.actions", "tests.properties.bench")
