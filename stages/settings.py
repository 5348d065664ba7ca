"""What the operator's settings of stages have in common: how they are read, and how a wrong one is told."""

from typing import Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline import PermanentError


class StageSettings(BaseSettings):
    """Settings from variables that begin with a prefix. Read anew for every attempt.

    A variable that is empty counts as not set.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    @classmethod
    def read(cls) -> Self:
        """Read the environment.

        Raises:
            PermanentError: a variable has a value that cannot be; its name is given, its value not.
        """
        try:
            return cls()
        except ValidationError as error:
            prefix = cls.model_config.get("env_prefix", "")
            problems = "; ".join(
                f"{prefix}{'.'.join(str(step) for step in each['loc']).upper()}: {each['msg']}"
                for each in error.errors(include_input=False, include_url=False)
            )
            # Not chained: a validation error may repeat what it refused.
            raise PermanentError(f"correct the worker's settings: {problems}") from None
