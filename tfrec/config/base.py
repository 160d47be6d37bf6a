"""The base class of every section of the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the configuration. It cannot be changed once made, and it refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
