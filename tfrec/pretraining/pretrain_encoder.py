"""`pretrain_encoder`: pre-trains an encoder on texts without labels, from scratch or from an existing encoder."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from tfrec.config import ConfigSource, PretrainingConfig, RunConfig, as_run_config
from tfrec.data.dataset import PreparedDataset, load_dataset
from tfrec.encoders.checkpoints.resume_from import load_starting_point
from tfrec.encoders.checkpoints.save_encoder import save_encoder
from tfrec.encoders.folder_layout import ENCODER_OUTPUT
from tfrec.encoders.tokenization.learn_wordpieces import learn_word_pieces
from tfrec.encoders.tokenization.vocabulary import Vocabulary, WordPieces
from tfrec.encoders.tokenization.whole_word_masking import WholeWordMasking
from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.config import BackboneConfig, BertConfig, GptConfig
from tfrec.encoders.transformers.language_model import LanguageModel
from tfrec.errors import InvalidInput
from tfrec.files import OutputKind, PartialFolder, check_output_folder, read_json, write_json
from tfrec.keras import keras
from tfrec.pretraining.corpus import Corpus
from tfrec.pretraining.language_model_trainer import LanguageTrainer
from tfrec.progress import say
from tfrec.training.checkpoint_folder import STATE_FILE
from tfrec.training.run_layout import CHECKPOINT_FOLDER, CONFIG_FILE, DATA_FILE
from tfrec.version import __version__

CARD_FILE = "pretraining.json"
PARTIAL_OUTPUT = OutputKind("an interrupted training run", {DATA_FILE: ("data", "source")})

_MAX_LEARNT = 200_000  # texts to learn the vocabulary from, at most


def pretrain_encoder(
    out: str | Path,
    config: ConfigSource = None,
    *,
    data: PreparedDataset | str | Path | None = None,
    files: Sequence[str | Path] = (),
    source: str | None = None,
    resume: bool = False,
    force: bool = False,
) -> Path:
    """Pre-trains a BERT on masked words, or a GPT on the next token, and writes an encoder folder.

    A training run in progress lives in `OUT.partial`, with a checkpoint every `pretraining.checkpoint_every` steps.

    Args:
        out: Encoder folder to write, in the form of `import_encoder`. Its card, `pretraining.json`, records the data
            hash, source, steps, losses, held-out perplexity and accuracy before and after, and versions.
        config: A RunConfig, a mapping of options or a YAML file; only its section `pretraining` is used. None for the
            defaults. With `resume`, that of the interrupted run is used instead.
        data: Prepared data, or its folder, whose item texts and training histories are trained on.
        files: Text files with one text per line.
        source: A preset, Hugging Face folder or encoder folder to continue from, with its family, size and vocabulary.
            The prediction head is always new; for BERT it is first trained alone for `pretraining.head_steps`, and
            "before" is measured after that. None trains a new model, with a WordPiece vocabulary learnt from the texts.
        resume: Whether to continue the run in `OUT.partial`. Dataset, files and source must be the same.
        force: Whether to replace an existing `out`, and to discard an interrupted `OUT.partial`.

    Returns:
        `out`.

    Raises:
        InvalidInput: `out` exists; there is no text, or a file is not text; the source cannot be loaded, or supports
            fewer tokens than `pretraining.seq_length`; there is nothing to resume, or it used other texts.
        TfrecError: The loss, a gradient or a weight is no longer finite. The last checkpoint is kept in `OUT.partial`.
    """
    out = Path(out)
    check_output_folder(out, ENCODER_OUTPUT, force)
    partial = PartialFolder(out, PARTIAL_OUTPUT)
    if data is None and not files:
        raise InvalidInput("There is nothing to train on. Pass --data, --text, or both.")
    dataset = None if data is None else load_dataset(data)
    config = _start(partial, as_run_config(config), resume, force)
    options = config.pretraining
    corpus = Corpus(dataset, files, options.held_out)
    about = {"data": corpus.sha256, "source": source}

    def write(work: Path) -> None:
        config.save(work / CONFIG_FILE)
        write_json(work / DATA_FILE, about)

    if resume and about != read_json(partial.folder / DATA_FILE):
        raise InvalidInput(f"{partial.folder} was trained on other texts or from another source. Pass the same ones.")
    with partial.locked() if resume else partial.begun(write, force):
        try:
            _train(out, partial.folder, options, corpus, source, resume, force)
        except BaseException:
            if not (partial.folder / CHECKPOINT_FOLDER / STATE_FILE).exists() and not resume:  # nothing to resume from
                partial.delete()
            raise
        partial.delete()
    return out


def _start(partial: PartialFolder, config: RunConfig, resume: bool, force: bool) -> RunConfig:
    if not resume:
        partial.refuse_existing(force)
        return config
    partial.recover()
    if not (partial.folder / CONFIG_FILE).is_file():
        raise InvalidInput(f"There is nothing to resume: {partial.folder} does not exist. Omit --resume.")
    return RunConfig.load(partial.folder / CONFIG_FILE)


def _train(
    out: Path, partial: Path, options: PretrainingConfig, corpus: Corpus, source: str | None, resume: bool, force: bool
) -> None:
    keras.utils.set_random_seed(options.seed)
    shape, vocabulary, encoder = _initial_encoder(options, corpus, source, partial)
    if options.seq_length > shape.max_positions:
        raise InvalidInput(
            f"pretraining.seq_length is {options.seq_length}, but {source} takes {shape.max_positions} tokens. "
            "Lower it."
        )
    masking = None
    if not shape.causal:
        if not isinstance(vocabulary, WordPieces):
            raise InvalidInput(
                f"Masked words need a WordPiece vocabulary; {source} has another. Start from another BERT."
            )
        masking = WholeWordMasking(vocabulary.vocabulary, options.mask_rate)
    preprocessor = vocabulary.preprocessor(min(128, shape.max_positions))
    model = LanguageModel(encoder, shape)
    head_steps = options.head_steps if source and not shape.causal else 0
    trainer = LanguageTrainer(model, preprocessor, masking, options, partial / CHECKPOINT_FOLDER, head_steps)
    held_out = list(islice(corpus.texts(held_out=True), options.max_held_out))
    before = partial / "before.json"
    if resume:
        trainer.restore()
    trainer.fit_head(corpus.shuffled(options.seed))
    if not before.is_file():
        write_json(before, trainer.measure(held_out))
    trainer.fit(corpus.shuffled(options.seed))
    after = trainer.measure(held_out)
    say(f"Held out: {read_json(before)} before, {after} after")
    plain = build_backbone(shape)
    plain.set_weights(encoder.get_weights())
    card = {
        "family": shape.family,
        "source": source and Path(source).name,
        "data": corpus.sha256,
        "steps": options.steps,
        "head_steps": head_steps,
        "losses": trainer.rows,
        "held_out_texts": len(held_out),
        "before": read_json(before),
        "after": after,
        "pretraining": options.model_dump(),
        "versions": {"tfrec": __version__, **{name: version(name) for name in ("tensorflow", "tf_keras")}},
    }
    save_encoder(out, shape, vocabulary, plain, source="pretrained", extra={CARD_FILE: card}, force=force)


def _initial_encoder(
    options: PretrainingConfig, corpus: Corpus, source: str | None, partial: Path
) -> tuple[BackboneConfig, Vocabulary, keras.Model]:
    """Config, vocabulary and model to start from."""
    dtype = "mixed_bfloat16" if options.mixed_bfloat16 else "float32"
    if source is not None:
        return load_starting_point(source, dtype)
    vocabulary_file = partial / "vocab.json"
    if not vocabulary_file.is_file():
        say(f"Learning a vocabulary of {options.vocab_size} word pieces")
        texts = islice(corpus.texts(), _MAX_LEARNT)
        write_json(vocabulary_file, learn_word_pieces(texts, options.vocab_size, options.lower_case))
    pieces = WordPieces(read_json(vocabulary_file), options.lower_case)
    family: type[BackboneConfig] = BertConfig if options.family == "bert" else GptConfig
    shape = family.of_size(options.size, len(pieces), max_positions=max(512, options.seq_length))
    return shape, pieces, build_backbone(shape, dtype)
