"""What encoder-decoder models of transformers share behind the `SpeechModel` protocol.

A family is a subclass that says how a recording becomes what the encoder
hears. The network, its decoding and its tokenizer are transformers' own. The
encoder attends with torch's fused kernels where transformers has them for the
family; the decoder eagerly, since only so does it tell its cross-attention.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from aligner.core import AttentionMap, Audio, Tokens
from aligner.errors import InputError, ModelError, SettingError
from aligner.guard import import_torchaudio
from aligner.models import tokens as words
from aligner.models.base import Encoded, ForcedPass, Transcription
from aligner.models.checkpoint import Checkpoint

WINDOW = 30.0  # seconds; these encoders take any length, and have learned from clips of at most about this
SHORTEST_INPUT = 0.1  # seconds; shorter audio is filled up with silence, or convolutions would have nothing to read


def transformers() -> Any:
    """The library, imported when a model of it is loaded.

    Raises
    ------
    ModelError
        A part of it is not installed.
    """
    import_torchaudio()  # transformers imports it with some models
    try:
        import transformers as library
    except ImportError as error:
        raise ModelError(
            f"models of this family need {error.name}: install the extra with "
            "pip install 'cross-attention-aligner[families]'"
        ) from None
    return library


class Pieces:
    """A SentencePiece vocabulary with the manners of Whisper's: a text that starts with a space starts a word.

    Parameters
    ----------
    checkpoint : Checkpoint

    Raises
    ------
    ModelError
        Missing or damaged files.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        library = transformers()
        try:
            self.tokenizer = library.AutoTokenizer.from_pretrained(checkpoint.path, local_files_only=True)
        except ImportError:
            raise ModelError(
                f"the vocabulary of model {checkpoint.name!r} needs sentencepiece: install the extra with "
                "pip install 'cross-attention-aligner[families]'"
            ) from None
        except Exception as error:  # tokenizers raises nothing narrower
            why = str(error).strip().partition("\n")[0][:160] or type(error).__name__
            raise ModelError(f"the vocabulary of model {checkpoint.name!r} is missing or damaged: {why}") from None
        # Vocabularies of one case know no other.
        self._fold = str.lower if self.tokenizer.unk_token_id in self._ids("A") else str

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without special tokens."""
        text = self._fold(text)
        if len(text) == 1:  # a character within a word, or the space before one
            found = self.tokenizer.convert_tokens_to_ids("\u2581" if text == " " else text)
            if found is not None and found != self.tokenizer.unk_token_id:
                return [int(found)]
        return self._ids(text.strip())

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


class TransformersModel:
    """A checkpoint of transformers behind the `SpeechModel` protocol.

    Parameters
    ----------
    checkpoint : Checkpoint
    device : torch.device
    dtype : torch.dtype

    Raises
    ------
    ModelError
        Files that do not make such a model.
    """

    architecture: ClassVar[str]  # its class in transformers
    step: ClassVar[float]  # seconds from one row of what the encoder hears to the next
    sample_rate = 16_000
    window = WINDOW
    alignment_heads: tuple[tuple[int, int], ...] = ()
    together = 1  # windows have as many frames as they have sound

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        self.checkpoint = checkpoint
        self.name, self.fingerprint = checkpoint.name, checkpoint.fingerprint
        if dtype == torch.int8:
            raise SettingError(f"--dtype int8 is for Whisper's checkpoints: take float32 for {checkpoint.name}")
        self.device, self.dtype, self.precision = device, dtype, str(dtype).removeprefix("torch.")
        self.vocabulary = Pieces(checkpoint)
        self.network = self._build()
        self.encoder, self.decoder = self.network.get_encoder(), self.network.get_decoder()
        self.encoder_layers: torch.nn.ModuleList = self.encoder.layers
        strides = (module.stride[0] for module in self.encoder.modules() if isinstance(module, torch.nn.Conv1d))
        self.frame_duration = self.step * math.prod(strides)
        self.languages: tuple[str, ...] = ("en",)
        self.max_tokens = self._positions() - 2  # one starts the text, one ends it

    def _build(self) -> Any:
        """The network with its weights; the decoder has a config of its own, to attend eagerly."""
        library, checkpoint = transformers(), self.checkpoint
        library.utils.logging.disable_progress_bar()
        made = getattr(library, self.architecture)
        try:
            config = made.config_class.from_dict(checkpoint.config)
            network, report = made.from_pretrained(
                None, config=config, state_dict=dict(checkpoint.weights()), dtype=self.dtype, output_loading_info=True
            )
            self._special = {
                name: int(checkpoint.generation[name]) for name in ("decoder_start_token_id", "eos_token_id")
            }
        except KeyError as error:
            raise ModelError(f"model {self.name!r} is not a complete checkpoint: its config has no {error}") from None
        except (RuntimeError, TypeError, ValueError) as error:
            why = str(error).strip().partition("\n")[0][:160]
            raise ModelError(f"model {self.name!r} is not a complete checkpoint: {why}") from None
        if missing := sorted(report["missing_keys"]):
            raise ModelError(f"model {self.name!r} is not a complete checkpoint: it has no {missing[0]}")
        self._special["pad_token_id"] = self._special["eos_token_id"]
        network.generation_config = library.GenerationConfig(**self._special)
        eager = copy.deepcopy(network.config)
        eager._attn_implementation = "eager"
        for module in network.get_decoder().modules():
            if "config" in vars(module):
                module.config = eager
        return network.to(self.device).eval().requires_grad_(False)

    def _positions(self) -> int:
        """Positions that the decoder has."""
        raise NotImplementedError

    def _heard(self, samples: NDArray[np.float32]) -> torch.Tensor:
        """What the encoder hears of a window, float32, shape (rows, channels)."""
        raise NotImplementedError

    # --- audio ---------------------------------------------------------------------------

    def encode(self, audio: Audio, thin: bool = False) -> Encoded:
        """What the encoder hears and its states; see `SpeechModel`.

        Raises
        ------
        InputError
            More audio than one window, or none.
        """
        if audio.sample_rate != self.sample_rate:
            raise ValueError(f"model {self.name} expects {self.sample_rate} Hz, got {audio.sample_rate} Hz")
        if not 0 < audio.duration <= self.window + 1e-6:
            raise InputError(f"{audio.duration:.2f} s of audio do not fit the model's window of {self.window:g} s")
        missing = round(SHORTEST_INPUT * self.sample_rate) - len(audio.samples)
        heard = self._heard(np.pad(audio.samples, (0, max(0, missing)))).to(self.device)
        with torch.inference_mode():
            states = self.encode_features(heard[None])[0]
        seconds = len(states) * self.frame_duration
        if abs(seconds - max(audio.duration, SHORTEST_INPUT)) > 2 * self.frame_duration:
            raise ModelError(f"model {self.name!r} makes {len(states)} frames of {audio.duration:.2f} s of audio")
        frames = min(len(states), max(1, int(audio.duration / self.frame_duration + 1e-6)))
        return Encoded(heard, states, frames, audio.duration)

    def encode_all(self, audio: Sequence[Audio], thin: bool = False) -> list[Encoded]:
        """The same of several windows; see `SpeechModel`."""
        return [self.encode(window) for window in audio]

    def encode_features(self, features: torch.Tensor) -> torch.Tensor:
        """Encoder states (batch, frames, width) of what it hears (batch, rows, channels); differentiable."""
        states: torch.Tensor = self.encoder(features.to(self.dtype)).last_hidden_state
        return states

    # --- text ----------------------------------------------------------------------------

    def check_language(self, language: str | None, task: str = "transcribe") -> None:
        """Refuse a language or task: these models write what they were trained on, and cannot be told.

        Raises
        ------
        SettingError
        """
        if language not in (None, *self.languages):
            raise SettingError(
                f"model {self.name} cannot be told a language: it writes {' or '.join(self.languages)}, not {language}"
            )
        if task != "transcribe":
            raise SettingError(f"model {self.name} cannot {task}: it only transcribes")

    def tokenize(self, text: str, units: str = "subword", language: str | None = None) -> Tokens:
        """Tokens of a transcript and the rows of each of its words; see `aligner.models.tokens.tokenize`."""
        return words.tokenize(text, self.vocabulary.encode, self.vocabulary.decode, units, language)

    def transcribe(
        self,
        windows: Sequence[Encoded],
        language: str | None = None,
        task: str = "transcribe",
        timestamps: bool = False,
    ) -> list[Transcription]:
        """Greedy transcripts of windows; see `SpeechModel`. There are no timestamps to write."""
        self.check_language(language, task)
        return [self._written(window) for window in windows]

    def _written(self, window: Encoded) -> Transcription:
        # A text of more tokens than frames is a loop, and cannot be aligned.
        most = min(self.max_tokens, max(1, window.frames))
        with torch.inference_mode():
            made = self.network.generate(
                encoder_outputs=self._encoder_output(window.states[None]), max_new_tokens=most, do_sample=False,
                num_beams=1, output_scores=True, return_dict_in_generate=True,
            )  # fmt: skip
            gains = self.network.compute_transition_scores(made.sequences, made.scores, normalize_logits=True)[0]
        ids = tuple(int(i) for i in made.sequences[0, 1:] if int(i) != self._special["eos_token_id"])
        text = self.vocabulary.tokenizer.decode(list(ids), skip_special_tokens=True)
        return Transcription(str(text).strip(), ids, float(gains.mean()), no_speech=0.0)

    def _encoder_output(self, states: torch.Tensor) -> Any:
        return transformers().modeling_outputs.BaseModelOutput(last_hidden_state=states)

    def language_probabilities(self, encoded: Encoded) -> dict[str, float]:
        """The one language that the checkpoint writes."""
        return {self.languages[0]: 1.0}

    def detect_language(self, encoded: Encoded) -> tuple[str, float]:
        """The one language that the checkpoint writes."""
        return self.languages[0], 1.0

    # --- teacher-forced ------------------------------------------------------------------

    def _forced_ids(self, tokens: Tokens) -> torch.Tensor:
        if len(tokens) > self.max_tokens:
            raise InputError(
                f"the transcript has {len(tokens)} tokens, model {self.name} takes {self.max_tokens} in one window: "
                "split the text or the recording"
            )
        start, end = self._special["decoder_start_token_id"], self._special["eos_token_id"]
        return torch.tensor([[start, *tokens.ids, end]], device=self.device)

    def force(self, encoded: Encoded, tokens: Tokens, language: str | None = None) -> ForcedPass:
        """One teacher-forced pass; see `SpeechModel`.

        Raises
        ------
        InputError
            More tokens than the decoder takes.
        """
        ids, states = self._forced_ids(tokens), encoded.states[None]
        with torch.inference_mode():
            output = self.decoder(
                input_ids=ids, encoder_hidden_states=states, output_attentions=True, use_cache=False, return_dict=True
            )
            scores = self._scores(output.last_hidden_state[0, : len(tokens)])
            scores[:, [i for i in self._special.values() if i not in tokens.ids]] = -torch.inf
        weights = torch.cat(output.cross_attentions).float()
        if weights.shape[2:] != (ids.shape[1], states.shape[1]):
            raise ModelError(f"model {self.name!r}: its attention has the shape {tuple(weights.shape)}")
        # Scores are known up to a constant of each row, which no softmax sees.
        logits = weights.clamp(min=torch.finfo(torch.float32).tiny).log().cpu().numpy()
        attention = AttentionMap(logits, encoded.frames, self.frame_duration, suffix=1)
        return ForcedPass(lambda: attention, tokens.ids, lambda part: scores[part])

    def attend(self, encoded: Encoded, tokens: Tokens, language: str | None = None) -> AttentionMap:
        """Cross-attention of one teacher-forced pass; see `SpeechModel`."""
        return self.force(encoded, tokens, language).attention

    def token_log_probs(self, states: torch.Tensor, tokens: Tokens, language: str | None = None) -> torch.Tensor:
        """Log-probabilities of teacher-forced passes over a batch of encoder states; see `SpeechModel`."""
        ids = self._forced_ids(tokens)[:, :-1].expand(len(states), -1)
        hidden = self.decoder(
            input_ids=ids, encoder_hidden_states=states.to(self.dtype), use_cache=False, return_dict=True
        ).last_hidden_state
        return functional.log_softmax(self._scores(hidden), -1)

    def _scores(self, hidden: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.network.get_output_embeddings()(hidden).float()
        return scores
