"""Folders of several model types in Hugging Face's layout, with random weights from a seed."""

import json

import numpy as np

WIDTH, INNER, LAYERS, HEADS, POSITIONS = 32, 64, 2, 4, 64

DISTIL_CONFIG = {
    "model_type": "distilbert",
    "dim": WIDTH,
    "n_layers": LAYERS,
    "n_heads": HEADS,
    "hidden_dim": INNER,
    "max_position_embeddings": POSITIONS,
    "activation": "gelu",
}
GPT_CONFIG = {
    "model_type": "gpt2",
    "n_embd": WIDTH,
    "n_layer": LAYERS,
    "n_head": HEADS,
    "n_inner": None,
    "n_positions": POSITIONS,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
}
GPT_BYTES = [chr(b) for b in [*range(33, 127), *range(161, 173), *range(174, 256)]]
GPT_BYTES += [chr(256 + n) for n in range(256 - len(GPT_BYTES))]
GPT_MERGES = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("r", "e"), ("re", "d"), ("Ġ", "red"), ("a", "a"), ("aa", "a"),
              ("Ġ", "Ġ"), ("ĠĠ", "ĠĠ"), ("s", "h"), ("sh", "o"), ("sho", "e"), ("1", "2"), ("'", "s"), ("Ã", "¼"),
              ("e", "r"), ("c", "a")]  # fmt: skip
GPT_VOCABULARY = [*GPT_BYTES, *(left + right for left, right in GPT_MERGES), "<|endoftext|>"]


def _tensors(shapes, seed):
    rng = np.random.default_rng(seed)
    around = {
        name: 1.0 if "orm.weight" in name or ("ln_" in name and name.endswith("weight")) else 0.0 for name in shapes
    }
    return {n: (around[n] + 0.2 * rng.normal(size=shape)).astype(np.float32) for n, shape in shapes.items()}


def distil_tensors(vocab_size, seed=1):
    """Name to array of a bare DistilBertModel."""
    shapes = {"embeddings.word_embeddings.weight": (vocab_size, WIDTH)}
    shapes |= {"embeddings.position_embeddings.weight": (POSITIONS, WIDTH)}
    norms = ["embeddings.LayerNorm"]
    for at in (f"transformer.layer.{index}" for index in range(LAYERS)):
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            shapes |= {f"{at}.attention.{part}.weight": (WIDTH, WIDTH), f"{at}.attention.{part}.bias": (WIDTH,)}
        shapes |= {f"{at}.ffn.lin1.weight": (INNER, WIDTH), f"{at}.ffn.lin1.bias": (INNER,)}
        shapes |= {f"{at}.ffn.lin2.weight": (WIDTH, INNER), f"{at}.ffn.lin2.bias": (WIDTH,)}
        norms += [f"{at}.sa_layer_norm", f"{at}.output_layer_norm"]
    for name in norms:
        shapes |= {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}
    return _tensors(shapes, seed)


def gpt_tensors(vocab_size=275, seed=2):
    """Name to array of a bare GPT2Model."""
    shapes = {"wte.weight": (vocab_size, WIDTH), "wpe.weight": (POSITIONS, WIDTH)}
    for at in (f"h.{index}" for index in range(LAYERS)):
        sizes = {"attn.c_attn": (WIDTH, 3 * WIDTH), "attn.c_proj": (WIDTH, WIDTH)}
        sizes |= {"mlp.c_fc": (WIDTH, 4 * WIDTH), "mlp.c_proj": (4 * WIDTH, WIDTH)}
        for name, shape in sizes.items():
            shapes |= {f"{at}.{name}.weight": shape, f"{at}.{name}.bias": shape[1:]}
        for name in ("ln_1", "ln_2"):
            shapes |= {f"{at}.{name}.weight": (WIDTH,), f"{at}.{name}.bias": (WIDTH,)}
    shapes |= {"ln_f.weight": (WIDTH,), "ln_f.bias": (WIDTH,)}
    return _tensors(shapes, seed)


def write_distil_folder(folder, vocabulary, tensors=None):
    """A DistilBERT folder."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**DISTIL_CONFIG, "vocab_size": len(vocabulary)}))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    save_file(tensors or distil_tensors(len(vocabulary)), str(folder / "model.safetensors"))
    return folder


def write_gpt_folder(folder, tensors=None, config=None):
    """A GPT-2 folder; its tokens are the bytes, a few merges, and <|endoftext|>."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    about = {**GPT_CONFIG, "vocab_size": len(GPT_VOCABULARY), **(config or {})}
    (folder / "config.json").write_text(json.dumps(about))
    ids = {token: number for number, token in enumerate(GPT_VOCABULARY)}
    (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in GPT_MERGES)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    save_file(tensors or gpt_tensors(), str(folder / "model.safetensors"))
    return folder


def _attention_blocks(attention, attended_norm):
    """Names to shapes of the layers of XLM-R or MPNet."""
    shapes, norms = {}, []
    for at in (f"encoder.layer.{index}" for index in range(LAYERS)):
        dense = {f"{at}.{part}": (WIDTH, WIDTH) for part in attention}
        dense |= {f"{at}.intermediate.dense": (INNER, WIDTH), f"{at}.output.dense": (WIDTH, INNER)}
        for name, shape in dense.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        norms += [f"{at}.{attended_norm}", f"{at}.output.LayerNorm"]
    for name in ["embeddings.LayerNorm", *norms]:
        shapes |= {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}
    return shapes


def family_tensors(kind, vocab_size, seed=3):
    """Name to array of a bare XLMRobertaModel or MPNetModel."""
    shapes = {"embeddings.word_embeddings.weight": (vocab_size, WIDTH)}
    shapes |= {"embeddings.position_embeddings.weight": (POSITIONS + 2, WIDTH)}
    if kind == "mpnet":
        attention = [f"attention.attn.{part}" for part in "qkvo"]
        shapes |= {"encoder.relative_attention_bias.weight": (32, HEADS)}
        return _tensors(shapes | _attention_blocks(attention, "attention.LayerNorm"), seed)
    attention = [*(f"attention.self.{part}" for part in ("query", "key", "value")), "attention.output.dense"]
    shapes |= {"embeddings.token_type_embeddings.weight": (1, WIDTH)}
    return _tensors(shapes | _attention_blocks(attention, "attention.output.LayerNorm"), seed)


def modernbert_tensors(vocab_size, layers=4, seed=4):
    """Name to array of a bare ModernBertModel."""
    shapes = {"embeddings.tok_embeddings.weight": (vocab_size, WIDTH)}
    norms = ["embeddings.norm", "final_norm"]
    for at in (f"layers.{index}" for index in range(layers)):
        shapes |= {f"{at}.attn.Wqkv.weight": (3 * WIDTH, WIDTH), f"{at}.attn.Wo.weight": (WIDTH, WIDTH)}
        shapes |= {f"{at}.mlp.Wi.weight": (2 * INNER, WIDTH), f"{at}.mlp.Wo.weight": (WIDTH, INNER)}
        norms += [f"{at}.mlp_norm"] + ([f"{at}.attn_norm"] if at != "layers.0" else [])
    return _tensors(shapes | {f"{name}.weight": (WIDTH,) for name in norms}, seed)


def nomic_tensors(vocab_size, seed=5):
    """Name to array of a bare NomicBertModel, as published."""
    shapes = {"embeddings.word_embeddings.weight": (vocab_size, WIDTH)}
    shapes |= {"embeddings.token_type_embeddings.weight": (2, WIDTH)}
    norms = ["emb_ln"]
    for at in (f"encoder.layers.{index}" for index in range(LAYERS)):
        shapes |= {f"{at}.attn.Wqkv.weight": (3 * WIDTH, WIDTH), f"{at}.attn.out_proj.weight": (WIDTH, WIDTH)}
        shapes |= {f"{at}.mlp.{name}.weight": (INNER, WIDTH) for name in ("fc11", "fc12")}
        shapes |= {f"{at}.mlp.fc2.weight": (WIDTH, INNER)}
        norms += [f"{at}.norm1", f"{at}.norm2"]
    for name in norms:
        shapes |= {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}
    tensors = _tensors(shapes, seed)
    ones = {name: tensors[name] + 1 for name in shapes if name.endswith((".norm1.weight", ".norm2.weight"))}
    return {**tensors, **ones, "emb_ln.weight": tensors["emb_ln.weight"] + 1}


def write_family_folder(folder, kind, tokenizer):
    """A folder of XLM-R, MPNet, ModernBERT or nomic (their model types) with the content of a tokenizer.json."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    sizes = {
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
    }
    ids = [token["id"] for token in tokenizer["added_tokens"]]
    vocab_size = max(len(tokenizer["model"]["vocab"]), max(ids) + 1)
    about = {"model_type": kind, "vocab_size": vocab_size, "max_position_embeddings": POSITIONS, "pad_token_id": 1}
    about |= {**sizes, **_FAMILY_VALUES[kind]}
    (folder / "config.json").write_text(json.dumps(about))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    makers = {"modernbert": modernbert_tensors, "nomic_bert": nomic_tensors}
    tensors = makers[kind](vocab_size) if kind in makers else family_tensors(kind, vocab_size)
    save_file(tensors, str(folder / "model.safetensors"))
    return folder


_FAMILY_VALUES = {
    "xlm-roberta": {"max_position_embeddings": POSITIONS + 2, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "mpnet": {"max_position_embeddings": POSITIONS + 2, "layer_norm_eps": 1e-5},
    "modernbert": {"num_hidden_layers": 4, "local_attention": 16, "global_rope_theta": 160000.0, "cls_token_id": 1},
    "nomic_bert": {"layer_norm_eps": 1e-12},
}
