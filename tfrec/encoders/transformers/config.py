"""Configs of BERT, GPT, ModernBERT, nomic and static encoders."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self

from tfrec.errors import InvalidInput

# Names as in Hugging Face configs: "gelu" is exact, "gelu_new" its tanh approximation.
ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu")

# Name to (layers, width), with heads of width 64 and an inner width of 4 · width (Turc et al., arXiv:1908.08962).
SIZES = {"tiny": (2, 128), "mini": (4, 256), "small": (4, 512), "medium": (8, 512), "base": (12, 768)}

WEIGHTS = ("float32", "bfloat16", "int8")

_LATER = {"head_width": 0, "weights": "float32", "dense": (), "relative_buckets": 0, "cut": 0}

Pool = Literal["mean", "cls", "pooler", "last"]


@dataclass(frozen=True)
class BackboneConfig:
    """Base class of `BertConfig`, `GptConfig`, `ModernBertConfig`, `NomicConfig` and `StaticConfig`.

    A class says whether each sublayer is normalised before it (`pre_norm`) or after the sum, whether a token sees only
    those to its left (`causal`), whether half of the hidden units are factors of the other half (`gated`), whether the
    embeddings are normalised, and whether positions are learned.

    Args:
        vocab_size: int. Rows of the word embedding.
        width: int. Width of the token vectors, a multiple of `heads`.
        layers: int. Number of transformer layers.
        heads: int. Number of attention heads.
        inner_width: int. Width of the hidden layer of the feed-forward network.
        max_positions: int. Maximum input length in tokens.
        types: int. Number of segment types; 0 for no type embedding.
        activation: "gelu" (exact), "gelu_new" (tanh approximation), "relu" or "silu".
        dropout: float. Dropout rate of the embeddings and of the two outputs of each layer.
        attention_dropout: float. Dropout rate of the attention weights.
        epsilon: float. Epsilon of all layer normalisations.
        pooling: "mean" of the real tokens, "last" (the last real token), "cls" (the first token) or "pooler" (the first
            token through a dense layer with tanh).
        normalise: Whether to scale the pooled vector to unit length.
        head_width: int. Width of a head; 0 for `width / heads`.
        weights: How the token tables and matrices are stored: "float32", "bfloat16" or "int8". The two small forms are
            for use only, not for training.
        dense: Width, activation ("linear", "tanh" or "relu") and use of a bias of each dense layer after the pooling.
        relative_buckets: int. Buckets of relative positions that bias the attention, 32 in MPNet; 0 for none.
        cut: int. Number of leading values of the vector to keep, before it is scaled; 0 keeps all.

    Raises:
        InvalidInput: A size below 1, a width that is not a multiple of the heads, an unknown activation, pooling or
            form of the weights.
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
    head_width: int = 0
    weights: str = "float32"
    dense: tuple[tuple[int, str, bool], ...] = ()
    relative_buckets: int = 0
    cut: int = 0

    family: ClassVar[str]
    poolings: ClassVar[tuple[str, ...]]
    pre_norm: ClassVar[bool] = False
    causal: ClassVar[bool] = False
    gated: ClassVar[bool] = False
    embedding_norm: ClassVar[bool] = True
    learned_positions: ClassVar[bool] = True
    sizes: ClassVar[tuple[str, ...]] = ("vocab_size", "width", "layers", "heads", "inner_width", "max_positions")

    def __post_init__(self) -> None:
        small = [name for name in self.sizes if getattr(self, name) < 1]
        if small:
            raise InvalidInput(f"Expected all sizes to be at least 1; {small[0]} is {getattr(self, small[0])}.")
        if self.head_width < 0 or (not self.head_width and self.width % self.heads):
            raise InvalidInput(f"Expected a width that {self.heads} attention heads divide; received {self.width}.")
        if self.activation not in ACTIVATIONS:
            raise InvalidInput(f"Expected activation {' or '.join(ACTIVATIONS)}; received {self.activation!r}.")
        if self.pooling not in self.poolings:
            raise InvalidInput(
                f"Expected pooling {', '.join(self.poolings)} for {self.family}; received {self.pooling!r}."
            )
        if self.weights not in WEIGHTS:
            raise InvalidInput(f"Expected weights {', '.join(WEIGHTS)}; received {self.weights!r}.")
        object.__setattr__(self, "dense", tuple((width, name, bias) for width, name, bias in self.dense))
        if not 0 <= self.cut <= self._pooled_width:
            raise InvalidInput(f"Expected a dim from 1 to {self._pooled_width}; received {self.cut}. Set encoder.dim.")

    def rotary_base(self, layer: int) -> float:
        """The base of a layer's rotary positions; 0 where it has none."""
        return 0.0

    def window(self, layer: int) -> int:
        """The largest distance of two tokens that see each other in a layer; 0 where there is no limit."""
        return 0

    @property
    def attention_width(self) -> int:
        """Width of all heads together."""
        return self.heads * (self.head_width or self.width // self.heads)

    @property
    def _pooled_width(self) -> int:
        return self.dense[-1][0] if self.dense else self.width

    @property
    def dim(self) -> int:
        """Width of the pooled vector, after dense layers and cutting."""
        return self.cut or self._pooled_width

    @classmethod
    def of_size(cls, size: str, vocab_size: int, **values: Any) -> Self:
        """The config of a named size.

        Args:
            size: "tiny" (2 layers of width 128), "mini" (4 × 256), "small" (4 × 512), "medium" (8 × 512) or "base"
                (12 × 768).
            vocab_size: int. Rows of the word embedding.
            **values: Further fields.

        Example:
            >>> BertConfig.of_size("tiny", vocab_size=100).heads
            2
        """
        if size not in SIZES:
            raise InvalidInput(f"Expected one of the sizes {', '.join(SIZES)}; received {size!r}.")
        layers, width = SIZES[size]
        return cls(vocab_size, width, layers, heads=width // 64, inner_width=4 * width, **values)

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON; the later ones only where they are set, so that hashes of older encoders stay."""
        return {name: value for name, value in asdict(self).items() if value != _LATER.get(name, _LATER)}


@dataclass(frozen=True)
class BertConfig(BackboneConfig):
    """Config of a BERT encoder: bidirectional attention, with normalisation after each residual sum (post-norm).

    With `types=0` it is a DistilBERT. `BackboneConfig` describes the fields.

    Example:
        >>> BertConfig(vocab_size=100, width=32, layers=2, heads=4, inner_width=64).pooling
        'mean'
    """

    types: int = 2

    family: ClassVar[str] = "bert"
    poolings: ClassVar[tuple[str, ...]] = ("mean", "cls", "pooler", "last")


@dataclass(frozen=True)
class GptConfig(BackboneConfig):
    """Config of a GPT encoder: causal attention, with normalisation before each sublayer (pre-norm).

    The first token sees only itself, so the pooling is "last" or "mean". `BackboneConfig` describes the fields.

    Example:
        >>> GptConfig(vocab_size=100, width=32, layers=2, heads=4, inner_width=64).pooling
        'last'
    """

    max_positions: int = 1024
    activation: str = "gelu_new"
    epsilon: float = 1e-5
    pooling: Pool = "last"

    family: ClassVar[str] = "gpt"
    pre_norm: ClassVar[bool] = True
    causal: ClassVar[bool] = True
    embedding_norm: ClassVar[bool] = False
    poolings: ClassVar[tuple[str, ...]] = ("last", "mean")


@dataclass(frozen=True)
class StaticConfig(BackboneConfig):
    """Config of a static encoder: a table of token vectors, of which a text gets the mean. It has no layers.

    A token's weight is the length of its vector. `BackboneConfig` describes the fields; those of layers have no effect.

    Example:
        >>> StaticConfig(vocab_size=100, width=32).layers
        0
    """

    layers: int = 0
    heads: int = 1
    inner_width: int = 0
    dropout: float = 0.0
    attention_dropout: float = 0.0
    normalise: bool = True

    family: ClassVar[str] = "static"
    learned_positions: ClassVar[bool] = False
    poolings: ClassVar[tuple[str, ...]] = ("mean",)
    sizes: ClassVar[tuple[str, ...]] = ("vocab_size", "width", "max_positions")


@dataclass(frozen=True)
class ModernBertConfig(BackboneConfig):
    """Config of ModernBERT (Warner et al., arXiv:2412.13663): rotary positions, gated hidden units, local attention.

    `BackboneConfig` describes the other fields.

    Args:
        base: float. Base of the rotary positions of layers with attention to all tokens.
        local_base: float. Base of the rotary positions of the others.
        local_window: int. Largest distance of two tokens that see each other in these.
        global_every: int. One layer in so many has attention to all tokens, beginning with the first.

    Example:
        >>> config = ModernBertConfig(vocab_size=100, width=32, layers=4, heads=4, inner_width=64)
        >>> [config.window(layer) for layer in range(4)]
        [0, 64, 64, 0]
    """

    max_positions: int = 8192
    dropout: float = 0.0
    attention_dropout: float = 0.0
    epsilon: float = 1e-5
    base: float = 160_000.0
    local_base: float = 10_000.0
    local_window: int = 64
    global_every: int = 3

    family: ClassVar[str] = "modernbert"
    pre_norm: ClassVar[bool] = True
    gated: ClassVar[bool] = True
    learned_positions: ClassVar[bool] = False
    poolings: ClassVar[tuple[str, ...]] = ("mean", "cls", "last")

    def rotary_base(self, layer: int) -> float:
        """See `BackboneConfig`."""
        return self.local_base if layer % self.global_every else self.base

    def window(self, layer: int) -> int:
        """See `BackboneConfig`."""
        return self.local_window if layer % self.global_every else 0


@dataclass(frozen=True)
class NomicConfig(BackboneConfig):
    """Config of nomic-embed-text (Nussbaum et al., arXiv:2402.01613): a BERT with rotary positions and gated units.

    `BackboneConfig` describes the other fields.

    Args:
        base: float. Base of the rotary positions.

    Example:
        >>> NomicConfig(vocab_size=100, width=32, layers=2, heads=4, inner_width=64).rotary_base(1)
        1000.0
    """

    max_positions: int = 2048
    types: int = 2
    activation: str = "silu"
    dropout: float = 0.0
    attention_dropout: float = 0.0
    base: float = 1000.0

    family: ClassVar[str] = "nomic"
    gated: ClassVar[bool] = True
    learned_positions: ClassVar[bool] = False
    poolings: ClassVar[tuple[str, ...]] = ("mean", "cls", "last")

    def rotary_base(self, layer: int) -> float:
        """See `BackboneConfig`."""
        return self.base


_FAMILIES: dict[str, type[BackboneConfig]] = {
    config.family: config for config in (BertConfig, GptConfig, StaticConfig, ModernBertConfig, NomicConfig)
}


def config_to_dict(config: BackboneConfig) -> dict[str, Any]:
    """The family and all fields of a config, for JSON. `config_from_dict` is the inverse."""
    return {"family": config.family, **config.to_dict()}


def config_from_dict(values: dict[str, Any]) -> BackboneConfig:
    """The config from the output of `config_to_dict`.

    Example:
        >>> config_from_dict(config_to_dict(GptConfig.of_size("mini", 50))) == GptConfig.of_size("mini", 50)
        True
    """
    fields = dict(values)
    return _FAMILIES[fields.pop("family")](**fields)
