"""Settings: refused before any model loads, described in full, and all that an option needs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace

import pytest

from aligner.command.cli import main
from aligner.errors import SettingError
from aligner.timing.aggregation import Aggregation
from aligner.timing.settings import PRESETS, Settings, choose


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"path": "viterbi"}, r"unknown path finder 'viterbi': choose one of dtw, linear"),
        ({"pauses": "cut"}, r"unknown pause rule 'cut': choose one of trim, keep"),
        ({"units": "y"}, r"unknown units 'y': choose one of subword, character"),
        ({"vad": "x"}, r"unknown speech detector 'x': choose one of energy, silero"),
        ({"timing": "guess"}, r"unknown timing 'guess': choose one of auto, head, attention, both"),
        ({"task": "sing"}, r"unknown task 'sing': choose one of transcribe, translate"),
        ({"saliency": "zz"}, r"unknown saliency method 'zz': choose one of encoder, gradient, spes, strips"),
        ({"shift": 25.0}, r"--shift 25: edges move by seconds"),
        ({"masks": 0}, r"0 masks: give at least 1"),
        ({"steps": "softmax-crop,blur,mean"}, r"unknown attention step 'blur'.*column-norm"),
        ({"layers": "most"}, r"--layers 'most' is not last:N"),
        ({"heads": "3"}, r"--heads '3' is not all"),
        ({"combine": "median"}, r"unknown aggregation 'median': choose one of mean, max, geometric-mean"),
        ({"preset": "fast"}, r"unknown preset 'fast': choose one of default, openai"),
        ({"colour": "red"}, r"unknown setting 'colour': choose one of aggregation, path"),
    ],
)
def test_what_does_not_exist_is_refused_with_the_choices(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        choose(**wrong)  # type: ignore[arg-type]


def test_settings_are_checked_without_torch() -> None:
    code = "import sys, aligner.timing.settings; print('torch' in sys.modules, 'dtw' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False False\n"


def test_a_preset_is_changed_only_where_something_else_is_chosen() -> None:
    assert choose() == Settings()
    assert choose("openai", pauses="trim") == replace(PRESETS["openai"].settings, pauses="trim")
    assert choose("openai", layers="0").aggregation == replace(PRESETS["openai"].settings.aggregation, layers="0")
    assert choose("huggingface", layers="0").aggregation.heads == "all"
    assert choose(combine="max").aggregation == Aggregation("upper-half", "all", ("softmax-crop", "max", "log"))


def test_whoever_chooses_among_attention_gets_attention() -> None:
    assert choose().timing == choose(pauses="keep").timing == "auto"
    assert {choose(layers="last:2").timing, choose(path="dtw").timing, choose("openai").timing} == {"attention"}
    assert choose(layers="all", timing="both").timing == "both"


def test_every_choice_that_shapes_times_is_described() -> None:
    plain = Settings()
    other = {
        "aggregation": Aggregation("all"), "path": "linear", "pauses": "keep", "units": "character", "timing": "both",
        "task": "translate", "vad": "energy", "saliency": "encoder", "masks": 5, "head": "x", "shift": 0.0,
    }  # fmt: skip
    shaping = {f.name for f in fields(Settings)} - {"language", "confidence", "tokens"}
    for name in shaping & other.keys():
        changed = replace(plain, **{name: other[name]})
        assert json.loads(json.dumps(changed.describe())) != json.loads(json.dumps(plain.describe())), name


def test_every_setting_is_an_option() -> None:
    options = {parameter.name for parameter in main.params}
    written_otherwise = {"aggregation", "confidence", "tokens"}  # four options, always, and --tier tokens
    assert {f.name for f in fields(Settings)} - written_otherwise <= options
