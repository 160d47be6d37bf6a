"""`pretrain_encoder`: texts without labels to an encoder folder, from scratch or going on from a checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from tfrec.config import ConfigSource, PretrainingConfig, RunConfig, as_run_config
from tfrec.data.dataset import PreparedDataset, load_dataset
from tfrec.encoders.checkpoints.resume_from import starting_point
from tfrec.encoders.checkpoints.save_encoder import save_encoder
from tfrec.encoders.tokenization.learn_wordpieces import learn_word_pieces
from tfrec.encoders.tokenization.vocabulary import BytePairs, WordPieces
from tfrec.encoders.tokenization.whole_word_masking import WholeWordMasking
from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.config import BackboneConfig, BertConfig, GptConfig
from tfrec.encoders.transformers.language_model import LanguageModel
from tfrec.errors import InvalidInput
from tfrec.files import read_json, refuse_existing, write_json
from tfrec.keras import keras
from tfrec.pretraining.corpus import Corpus
from tfrec.pretraining.language_model_trainer import LanguageTrainer
from tfrec.progress import say
from tfrec.training.checkpoint_folder import STATE_FILE
from tfrec.training.run_layout import CHECKPOINT_FOLDER, CONFIG_FILE
from tfrec.version import __version__

CARD_FILE = "pretraining.json"

_MAX_LEARNT = 200_000  # texts that the vocabulary is learnt from


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
    """Pre-trains a BERT on hidden words, or a GPT on the next token, and writes an encoder folder.

    While it trains, everything lives in `OUT.partial`, with a checkpoint every `pretraining.checkpoint_every` steps.

    Args:
        out: The folder: a TF-Hub pair as `import_encoder` writes it, and `pretraining.json`, its card: data hash,
            source, steps, losses, held-out perplexity and accuracy before and after, versions.
        config: A RunConfig, a mapping of options or a YAML file, of which the section `pretraining` is used; None for
            the defaults. With `resume`, that of the interrupted training holds.
        data: Prepared data, or its folder: the texts of the catalogue and of the training histories are learnt.
        files: Text files, one text a line.
        source: A preset, a Hugging Face folder or an encoder folder to go on from; its family, size and vocabulary
            hold, and the prediction head, which none of them has, is a new one: for BERT it is learnt alone first, for
            `pretraining.head_steps`, and "before" is measured after that. None: a new model, with a WordPiece
            vocabulary learnt from the texts.
        resume: Go on with `OUT.partial`; data, files and source have to be the same.
        force: Replace `out`, and throw away an interrupted `OUT.partial`.

    Returns:
        `out`.

    Raises:
        InvalidInput: `out` exists; there is no text, or a file holds what is none; the checkpoint cannot be read, or
            takes fewer tokens than `pretraining.seq_length`; there is nothing to resume, or it read other texts.
        TfrecError: The loss, a gradient or a weight is not a number any more; the last checkpoint stays in
            `OUT.partial`.
    """
    out = Path(out)
    partial = out.with_name(out.name + ".partial")
    refuse_existing(out, force)
    if data is None and not files:
        raise InvalidInput("There is nothing to learn from. Pass --data, --text, or both.")
    dataset = None if data is None else load_dataset(data)
    config = _start(partial, as_run_config(config), resume, force)
    knobs = config.pretraining
    corpus = Corpus(dataset, files, knobs.held_out)
    try:
        about = {"data": corpus.sha256, "source": source}
        if resume and about != read_json(partial / "data.json"):
            raise InvalidInput(f"{partial} was trained from other texts or another source. Pass the same ones.")
        if not resume:
            partial.mkdir(parents=True)
            config.save(partial / CONFIG_FILE)
            write_json(partial / "data.json", about)
        _train(out, partial, knobs, corpus, source, resume, force)
    except BaseException:
        if (
            not (partial / CHECKPOINT_FOLDER / STATE_FILE).exists() and not resume
        ):  # nothing to resume from: leave nothing
            shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(partial)
    return out


def _start(partial: Path, config: RunConfig, resume: bool, force: bool) -> RunConfig:
    if resume:
        if not (partial / CONFIG_FILE).is_file():
            raise InvalidInput(f"There is nothing to resume: {partial} does not exist. Leave --resume out.")
        return RunConfig.load(partial / CONFIG_FILE)
    if partial.exists() and not force:
        raise InvalidInput(f"{partial} holds an interrupted training. Pass --resume, or --force to start again.")
    shutil.rmtree(partial, ignore_errors=True)
    return config


def _train(
    out: Path, partial: Path, knobs: PretrainingConfig, corpus: Corpus, source: str | None, resume: bool, force: bool
) -> None:
    keras.utils.set_random_seed(knobs.seed)
    shape, vocabulary, encoder = _encoder(knobs, corpus, source, partial)
    if knobs.seq_length > shape.max_positions:
        raise InvalidInput(
            f"pretraining.seq_length is {knobs.seq_length}, but {source} takes {shape.max_positions} tokens. Lower it."
        )
    masking = None
    if shape.family == "bert":
        masking = WholeWordMasking(vocabulary.vocabulary, knobs.mask_rate)
    preprocessor = vocabulary.preprocessor(min(128, shape.max_positions))
    model = LanguageModel(encoder, shape)
    head_steps = knobs.head_steps if source and shape.family == "bert" else 0
    trainer = LanguageTrainer(model, preprocessor, masking, knobs, partial / CHECKPOINT_FOLDER, head_steps)
    held_out = list(islice(corpus.texts(held_out=True), knobs.max_held_out))
    before = partial / "before.json"
    if resume:
        trainer.restore()
    trainer.fit_head(corpus.shuffled(knobs.seed))
    if not before.is_file():
        write_json(before, trainer.measure(held_out))
    trainer.fit(corpus.shuffled(knobs.seed))
    after = trainer.measure(held_out)
    say(f"Held out: {read_json(before)} before, {after} after")
    plain = build_backbone(shape)
    plain.set_weights(encoder.get_weights())
    card = {
        "family": shape.family,
        "source": source and Path(source).name,
        "data": corpus.sha256,
        "steps": knobs.steps,
        "head_steps": head_steps,
        "losses": trainer.rows,
        "held_out_texts": len(held_out),
        "before": read_json(before),
        "after": after,
        "pretraining": knobs.model_dump(),
        "versions": {"tfrec": __version__, **{name: version(name) for name in ("tensorflow", "tf_keras")}},
    }
    save_encoder(out, shape, vocabulary, plain, source="pretrained", extra={CARD_FILE: card}, force=force)


def _encoder(
    knobs: PretrainingConfig, corpus: Corpus, source: str | None, partial: Path
) -> tuple[BackboneConfig, WordPieces | BytePairs, keras.Model]:
    """Shape, vocabulary and a model to start from."""
    dtype = "mixed_bfloat16" if knobs.mixed_bfloat16 else "float32"
    if source is not None:
        return starting_point(source, dtype)
    learnt = partial / "vocab.json"
    if not learnt.is_file():
        say(f"Learning a vocabulary of {knobs.vocab_size} word pieces")
        texts = islice(corpus.texts(), _MAX_LEARNT)
        write_json(learnt, learn_word_pieces(texts, knobs.vocab_size, knobs.lower_case))
    pieces = WordPieces(read_json(learnt), knobs.lower_case)
    made: type[BackboneConfig] = BertConfig if knobs.family == "bert" else GptConfig
    shape = made.of_size(knobs.size, len(pieces), max_positions=max(512, knobs.seq_length))
    return shape, pieces, build_backbone(shape, dtype)
