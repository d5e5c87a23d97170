"""The JSON schema of config.yaml for editors, and the published preset, both made from the settings."""

from __future__ import annotations

import inspect
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from hipoa.core.files import write_text
from hipoa.core.settings import Settings
from hipoa.workflow.config import Config

_PUBLISHED = """\
# The protocol of Masuda et al. 2024, and hipoa's default for everything that they do not state.
# Every setting of hipoa is here with its unit, those changed most often first; set your own in config.yaml.
# To change a default, edit hipoa/*/settings.py (experiments: hipoa/workflow/schema.py) and run `make schema`.

# the networks to train; an experiment in config.yaml is added to these, and `vgg: null` there removes one
experiments:
  vit:
    network: vit_base_patch16_224.augreg_in1k  # name in timm; all three pre-trained on ImageNet-1k alone
    weights: hub                               # hub, hub:REVISION, file:PATH, package:MODULE, none
    task: combined                             # the combined class 1-7, or separate: Crowe and KL
    loss: classification                       # classification, regression, ordinal
    input_px: 224                              # side of the network's input, pixels
  vgg:
    network: vgg16.tv_in1k                     # all else as for vit: these are the defaults
  densenet:
    network: densenet161.tv_in1k

repeats: 15       # repetitions of the cross-validation
seed: 0           # another seed gives other folds, initial weights and dropout passes
keep_models: all  # all; none: delete each model after its predictions (`grade` then has none to use)
reading: false    # make high-resolution 16-bit views of each hip and of the pelvis for human readers
torch: cuda       # the PyTorch that --use-conda installs: cuda (3 GB, runs without a GPU too) or cpu (small)
"""
_WIDTH = 110


def schema() -> dict[str, Any]:
    """The JSON schema of config.yaml."""
    content = Config.model_json_schema()
    # Pydantic refuses a badly named experiment, its schema does not say so.
    content["properties"]["experiments"]["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **content}


def preset() -> str:
    """The published preset: every setting at its default, with its description and unit, as YAML."""
    lines = [_PUBLISHED]
    for section, part in Config.model_fields.items():
        if inspect.isclass(part.annotation) and issubclass(part.annotation, Settings) and section != "data":
            lines.append(f"{section}:")
            for name, setting in part.annotation.model_fields.items():
                line = f"  {name}: {json.dumps(setting.default, ensure_ascii=False)}"
                lines += _comment(line, setting.description or "")
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _comment(line: str, text: str) -> list[str]:
    """A setting's line with its description behind it, or above it where it is long."""
    beside = f"{line:<26}  # {text}"
    if len(beside) <= _WIDTH:
        return [beside]
    return [*(f"  # {part}" for part in textwrap.wrap(text, _WIDTH - 4)), line]


def run(*, out: Path | None = None, published: Path | None = None) -> None:
    """Prints the JSON schema of the configuration, or writes it to a file.

    Args:
        out: The file of the schema.
        published: The file of the published preset, which is written too.
    """
    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        write_text(out, text)
    if published is not None:
        write_text(published, preset())
