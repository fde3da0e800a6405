"""How texts of several sections have to be spelt."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class Spelling:
    """`Annotated[str, Spelling(pattern, words)]`: a text of this pattern, of which errors say in words what it is."""

    def __init__(self, pattern: str, words: str) -> None:
        self.pattern, self.words = pattern, words

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._judge, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^{self.pattern}$"}

    def _judge(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise ValueError(f"should be {self.words}, not {text[:100]!r}")
        return text


def _absolute(path: Path) -> Path:
    # A command and a host stop are in different folders: each would look for what the other has kept somewhere else.
    if not path.is_absolute():
        meant = "" if path == Path() else f", not {str(path)[:100]!r}"
        raise ValueError(f"should be an absolute path, from / on{meant}")
    return path


# Strict, pydantic takes nothing but a Path for a path, and YAML knows only texts.
AbsolutePath = Annotated[Path, Field(strict=False), AfterValidator(_absolute)]
