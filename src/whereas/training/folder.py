"""What a run folder says about a run besides its weights: the curve as a picture, the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from html import escape
from importlib.metadata import version as installed
from typing import Any

import torch
from accelerate import Accelerator

from whereas import __version__
from whereas.charts import DASHES

PACKAGES = (
    "accelerate",
    "datasets",
    "numpy",
    "peft",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
)


def environment(accelerator: Accelerator) -> dict[str, Any]:
    """Versions and the machine, as `run.json` records them."""
    device = accelerator.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "whereas": __version__,
        "python": platform.python_version(),
        **{package: installed(package) for package in PACKAGES},
        "platform": platform.platform(),
        "device": f"{device.type} ({name})",
        "processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


STYLE = """
text { font: 12px sans-serif; fill: #222 }
.tick { fill: #555 }
.grid { stroke: #ddd }
.line { fill: none; stroke: #000; stroke-width: 1.5 }
.dev { stroke-width: 3 }
.part { stroke: #777 }
"""
PLOT_WIDTH, PLOT_HEIGHT, LEFT, TOP = 460, 300, 48, 36
"""Of the plot in SVG units, and where it begins."""
NAMES = {"loss": "training, all parts", "dev": "development, labels"}


def chart(curve: Sequence[Mapping[str, float]], title: str) -> str:
    """Losses by epoch as an SVG file that stands alone: the whole training loss and the
    development loss, and thin the parts that the former is the sum of. No line needs colour to be
    told from another: each has its name, its dashes and its last loss on the right.

    Args:
        curve: an epoch each, one at least, with the same keys: `epoch` from 1, `loss`, `dev`, and
            the parts. Losses are finite and not negative.
    """
    # Sorted, for the keys of a run that was resumed have another order.
    names = ["loss", "dev", *sorted(n for n in curve[0] if n not in ("epoch", "loss", "dev"))]
    top = _round_up(max(max(row[n] for n in names) for row in curve))
    last = max(len(curve), 2)

    def x(epoch: float) -> float:
        return LEFT + PLOT_WIDTH * (epoch - 1) / (last - 1)

    def y(loss: float) -> float:
        return TOP + PLOT_HEIGHT * (1 - loss / top)

    parts = [f'<text x="{LEFT}" y="20">{escape(title)}: loss by epoch</text>']
    for tick in (0, 0.25, 0.5, 0.75, 1):
        at = y(top * tick)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{LEFT + PLOT_WIDTH}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text class="tick" x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">'
            f"{top * tick:.3g}</text>"
        )
    for epoch in range(1, last + 1, -(-last // 12)):
        parts.append(
            f'<text class="tick" x="{x(epoch):.1f}" y="{TOP + PLOT_HEIGHT + 20}" '
            f'text-anchor="middle">{epoch}</text>'
        )
    ends = _apart([y(curve[-1][n]) for n in names])
    for k, (name, end) in enumerate(zip(names, ends, strict=True)):
        kind = name if name in NAMES else "part"
        dash = DASHES[k % len(DASHES)]
        style = f'class="line {kind}" stroke-dasharray="{dash}"'
        points = " ".join(f"{x(row['epoch']):.1f},{y(row[name]):.1f}" for row in curve)
        right = x(curve[-1]["epoch"])
        parts.append(
            f'<polyline {style} points="{points}"/>'
            f'<circle cx="{right:.1f}" cy="{y(curve[-1][name]):.1f}" r="2"/>'
            f'<line {style} x1="{LEFT + PLOT_WIDTH + 14}" x2="{LEFT + PLOT_WIDTH + 44}" '
            f'y1="{end:.1f}" y2="{end:.1f}"/>'
            f'<text x="{LEFT + PLOT_WIDTH + 50}" y="{end + 4:.1f}">'
            f"{escape(NAMES.get(name, name))} {curve[-1][name]:.3f}</text>"
        )
    width = LEFT + PLOT_WIDTH + 260
    height = max(TOP + PLOT_HEIGHT + 30, int(max(ends)) + 16)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
        f"<title>{escape(title)}: loss by epoch</title><style>{STYLE}</style>"
        f'<rect width="{width}" height="{height}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _apart(places: Sequence[float], gap: float = 17) -> list[float]:
    """Heights for names near the heights of their lines: in the same order, `gap` apart, and none
    above the plot's top. All in SVG units, which grow downwards."""
    order = sorted(range(len(places)), key=lambda k: places[k])
    result = [0.0] * len(places)
    # From the bottom up: losses fall, so that most lines end there.
    limit = max(TOP + PLOT_HEIGHT, TOP + gap * (len(places) - 1))
    for k in reversed(order):
        result[k] = min(places[k], limit)
        limit = result[k] - gap
    least = float(TOP)
    for k in order:
        result[k] = max(result[k], least)
        least = result[k] + gap
    return result


def _round_up(value: float) -> float:
    """The smallest of 1, 2, 4, 6, 8, 10 times a power of ten that a value does not exceed."""
    power = 1e-6
    while power * 10 < value:
        power *= 10
    return next(power * n for n in (1, 2, 4, 6, 8, 10) if power * n >= value)
