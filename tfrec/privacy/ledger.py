"""The ledger: everything that a run computed from its users' events, the noise in it, and the ε of it all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tfrec.errors import InvalidInput
from tfrec.files.stored_folder import FILES
from tfrec.privacy.accountant import RELATIONS, epsilon_of
from tfrec.privacy.mechanism import Mechanism

PRIVACY: Final = "privacy"
"""The key of a run's manifest below which the ledger is."""
_HASH: Final = "sha256"
_CURE: Final = "Restore the run from a copy, or train again."


@dataclass(frozen=True)
class Ledger:
    """What a run computed from its users' events. A person is protected with all of their events.

    Attributes:
        delta: The δ at which ε is given.
        mechanisms: Everything that was computed with noise.
        details: What the mechanisms need to be checked: the clip norm, the number of people, what bounds a person's
            share.
        public: What the run takes to be known to anybody; it is used without noise.
        off: What a run without privacy computes from the events, and this one does not.
        uncovered: What tells about people and is not part of ε.

    Example:
        >>> Ledger(delta=1e-5, mechanisms=()).epsilons()
        {'add-or-remove-one': 0.0, 'replace-one': 0.0}
    """

    delta: float
    mechanisms: tuple[Mechanism, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    public: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()

    def epsilons(self) -> dict[str, float]:
        """ε under each neighbouring relation, computed from the mechanisms."""
        return {relation: round(epsilon_of(self.mechanisms, self.delta, relation), 4) for relation in RELATIONS}

    def seal(self, files: Mapping[str, str]) -> dict[str, Any]:
        """The ledger for a manifest, with its ε and a hash over all of it and the run's weights.

        Args:
            files: Relative name to SHA-256 of the run's files. With the weights in the hash, the ledger of one run
                cannot stand in the manifest of another.
        """
        alone = [round(epsilon_of([mechanism], self.delta), 4) for mechanism in self.mechanisms]
        content = {
            "unit": "a person, with all of their events",
            "epsilon": self.epsilons(),
            "delta": self.delta,
            "accountant": "privacy loss distributions (dp-accounting)",
            "mechanisms": [
                {**mechanism.to_dict(), "epsilon_alone": epsilon}
                for mechanism, epsilon in zip(self.mechanisms, alone, strict=True)
            ],
            "details": dict(self.details),
            **{name: list(getattr(self, name)) for name in ("public", "off", "uncovered")},
        }
        return {**content, _HASH: _hash(content, files)}

    @classmethod
    def read(cls, manifest: Mapping[str, Any]) -> Ledger | None:
        """The ledger in a run's manifest; None where there is none.

        Raises:
            InvalidInput: It was edited, or belongs to other weights.
        """
        sealed = manifest.get(PRIVACY)
        if sealed is None:
            return None
        content = dict(sealed) if isinstance(sealed, Mapping) else {}
        if content.pop(_HASH, None) != _hash(content, manifest.get(FILES, {})):
            raise InvalidInput(
                f"The privacy ledger of this run was changed after training, or is that of other weights, so its ε "
                f"says nothing. {_CURE}"
            )
        mechanisms = [{k: v for k, v in one.items() if k != "epsilon_alone"} for one in content["mechanisms"]]
        return cls(
            delta=content["delta"],
            mechanisms=tuple(map(Mechanism.from_dict, mechanisms)),
            details=content["details"],
            **{name: tuple(content[name]) for name in ("public", "off", "uncovered")},
        )


def _hash(content: Mapping[str, Any], files: Mapping[str, str]) -> str:
    weights = {name: digest for name, digest in files.items() if name.startswith("weights/")}
    text = json.dumps([content, weights], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
