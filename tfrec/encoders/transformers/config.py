"""The shapes of BERT and GPT encoders, from tiny to base."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self

from tfrec.errors import InvalidInput

# As checkpoints name them: "gelu" is the exact one, "gelu_new" its tanh approximation.
ACTIVATIONS = ("gelu", "gelu_new", "relu")

# Name to (layers, width); 64 wide heads, a feed-forward four times as wide (Turc et al., arXiv:1908.08962).
SIZES = {"tiny": (2, 128), "mini": (4, 256), "small": (4, 512), "medium": (8, 512), "base": (12, 768)}

Pool = Literal["mean", "cls", "pooler", "last"]


@dataclass(frozen=True)
class BackboneConfig:
    """What BERT and GPT encoders have in common; use `BertConfig` or `GptConfig`.

    Args:
        vocab_size: Rows of the word embedding.
        width: Of every token's vector; a multiple of `heads`.
        layers: Transformer layers.
        heads: Attention heads.
        inner_width: Of the feed-forward's hidden layer.
        max_positions: The longest input, in tokens.
        types: Segment types; 0 for none.
        activation: "gelu" (exact), "gelu_new" (tanh approximation) or "relu".
        dropout: On embeddings and on each layer's two outputs, when training.
        attention_dropout: On attention weights, when training.
        epsilon: Of every layer normalisation.
        pooling: "mean" of the real tokens, "last" of them, "cls": the first, "pooler": the first, dense and tanh.
        normalise: Whether the pooled vector is brought to length 1.

    Raises:
        InvalidInput: A size below 1, a width that the heads do not divide, an unknown activation or pooling.
    """

    vocab_size: int
    width: int
    layers: int
    heads: int
    inner_width: int
    max_positions: int = 512
    types: int = 0
    activation: str = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    epsilon: float = 1e-12
    pooling: Pool = "mean"
    normalise: bool = False

    family: ClassVar[str]
    poolings: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "width", "layers", "heads", "inner_width", "max_positions")
        small = [name for name in sizes if getattr(self, name) < 1]
        if small:
            raise InvalidInput(f"Every size has to be at least 1; {small[0]} is {getattr(self, small[0])}.")
        if self.width % self.heads:
            raise InvalidInput(f"A width of {self.width} does not split into {self.heads} attention heads.")
        if self.activation not in ACTIVATIONS:
            raise InvalidInput(f"Expected activation {' or '.join(ACTIVATIONS)}; received {self.activation!r}.")
        if self.pooling not in self.poolings:
            raise InvalidInput(
                f"Expected pooling {', '.join(self.poolings)} for {self.family}; received {self.pooling!r}."
            )

    @classmethod
    def of_size(cls, size: str, vocab_size: int, **values: Any) -> Self:
        """A preset size: "tiny" (2 layers, width 128), "mini", "small", "medium" or "base" (12 × 768).

        Example:
            >>> BertConfig.of_size("tiny", vocab_size=100).heads
            2
        """
        if size not in SIZES:
            raise InvalidInput(f"Expected a size among {', '.join(SIZES)}; received {size!r}.")
        layers, width = SIZES[size]
        return cls(vocab_size, width, layers, heads=width // 64, inner_width=4 * width, **values)

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class BertConfig(BackboneConfig):
    """The shape of a BERT encoder: every token sees every other, normalised after each sum.

    `types=0` is a DistilBERT. See `BackboneConfig` for the fields.

    Example:
        >>> BertConfig(vocab_size=100, width=32, layers=2, heads=4, inner_width=64).pooling
        'mean'
    """

    types: int = 2

    family: ClassVar[str] = "bert"
    poolings: ClassVar[tuple[str, ...]] = ("mean", "cls", "pooler", "last")


@dataclass(frozen=True)
class GptConfig(BackboneConfig):
    """The shape of a GPT encoder: a token sees itself and what is left of it, normalised before each sublayer.

    Its first token has seen nothing, so pooling is "last" or "mean". See `BackboneConfig` for the fields.

    Example:
        >>> GptConfig(vocab_size=100, width=32, layers=2, heads=4, inner_width=64).pooling
        'last'
    """

    max_positions: int = 1024
    activation: str = "gelu_new"
    epsilon: float = 1e-5
    pooling: Pool = "last"

    family: ClassVar[str] = "gpt"
    poolings: ClassVar[tuple[str, ...]] = ("last", "mean")


_FAMILIES: dict[str, type[BackboneConfig]] = {"bert": BertConfig, "gpt": GptConfig}


def describe(config: BackboneConfig) -> dict[str, Any]:
    """The family and all fields, for JSON; `described` reads it back."""
    return {"family": config.family, **config.to_dict()}


def described(about: dict[str, Any]) -> BackboneConfig:
    """The configuration that `describe` wrote.

    Example:
        >>> described(describe(GptConfig.of_size("mini", 50))) == GptConfig.of_size("mini", 50)
        True
    """
    fields = dict(about)
    return _FAMILIES[fields.pop("family")](**fields)
