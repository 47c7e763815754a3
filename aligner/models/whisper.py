"""Every Whisper checkpoint, through transformers: hub name, local cache, folder, or the embedded one.

The encoder runs once under the fused kernel. The decoder runs one
teacher-forced pass under the fused kernel too; attention scores are recomputed
from the projections that hooks on its cross-attention see, which costs less
than the eager route and skips the output layer. Checkpoints whose
`config.json` says `"aligner": {"trimmed": true}` were trained to hear
real audio without the padding to 30 s; all others get the padding, and
their states are cropped to real audio only for the maps.
"""

from __future__ import annotations

import inspect
import logging
import os
import re
import ssl
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from aligner.core import AttentionMap, Audio, Tokens, WordSpan
from aligner.errors import InputError, ModelError, SettingError
from aligner.guard import import_torchaudio
from aligner.models.base import EMBEDDED, Encoded, model_families
from aligner.models.features import FEATURE_DURATION, SAMPLE_RATE, log_mel, padding_value
from aligner.text.spoken import spoken_form
from aligner.timing.words import UNSPACED_LANGUAGES, is_punctuation, split_on_unicode

_TOGETHER = 8  # a token of so many windows costs little more than of one: the time goes into reading the weights
_SILENCE = 0.2  # seconds heard behind a trimmed window that is transcribed
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@model_families.register("whisper")
def load_whisper(name: str, device: str = "cpu", dtype: str = "float32", threads: int | None = None) -> WhisperModel:
    """Load a Whisper checkpoint.

    Parameters
    ----------
    name : str
        "embedded", a folder, or a hub name.
    device, dtype : str
        torch's names; dtype is float32, bfloat16 or float16.
    threads : int, optional
        CPU threads.

    Raises
    ------
    ModelError
        Not found, no network, or not a Whisper checkpoint.
    SettingError
        Unknown device or dtype.
    """
    if dtype not in _DTYPES:
        raise SettingError(f"unknown dtype {dtype!r}: choose one of {', '.join(_DTYPES)}")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SettingError(f"device {device!r} asked for, but torch sees no GPU: use --device cpu")
    if device.partition(":")[0] not in ("cpu", "cuda", "mps", "xpu"):
        raise SettingError(f"unknown device {device!r}: choose cpu, cuda, mps or xpu")
    if threads is not None:
        if threads < 1:
            raise SettingError(f"{threads} threads cannot compute anything: give 1 or more")
        torch.set_num_threads(threads)
    folder = str(EMBEDDED) if name == "embedded" else name
    if not os.path.isdir(folder) and not re.fullmatch(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", folder, re.ASCII):
        raise ModelError(
            f"no model {name!r}: give 'embedded', a checkpoint folder, or a hub name like openai/whisper-small"
        )
    from safetensors import SafetensorError

    import_torchaudio()
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        try:
            network, tokenizer, extractor = _read_checkpoint(name, folder, dtype, local=True)
        except OSError:
            if Path(folder).is_dir():
                raise
            if not _hub_answers(folder):
                raise ModelError(
                    f"model {name!r} is not in the local cache and the hub cannot be reached: "
                    "check the network, or give a checkpoint folder"
                ) from None
            network, tokenizer, extractor = _read_checkpoint(name, folder, dtype, local=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        where = "the folder is not a complete checkpoint" if Path(folder).is_dir() else "the hub does not give it"
        raise ModelError(f"cannot load model {name!r}: {where} ({first[:160]})") from error
    return WhisperModel(name, network.to(device).eval(), tokenizer, np.asarray(extractor.mel_filters))


def _read_checkpoint(name: str, folder: str, dtype: str, local: bool) -> tuple[Any, Any, Any]:
    """Network, tokenizer and feature extractor; `local` reads folders and the cache only."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=local)
    if config.model_type != "whisper":
        raise ModelError(
            f"model {name!r} is of the family {config.model_type!r}; supported: {', '.join(model_families)}"
        )
    network = transformers.WhisperForConditionalGeneration.from_pretrained(
        folder, dtype=_DTYPES[dtype], attn_implementation="sdpa", local_files_only=local
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=local)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder, local_files_only=local)
    return network, tokenizer, extractor


def _hub_answers(name: str) -> bool:
    """Whether the hub says anything about a name: its own client retries for half a minute before it gives up."""
    from huggingface_hub import constants, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        with urlopen(Request(hf_hub_url(name, "config.json"), method="HEAD"), timeout=5):
            return True
    except HTTPError:
        return True  # a refusal is an answer; transformers words it better
    except URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # its client may know certificates that Python does not
    except OSError:
        return False


class _AllSeen(Exception):
    """The decoder has computed all that was asked for."""


@dataclass(frozen=True, eq=False)
class _ForcedPass:
    """See `aligner.models.base.ForcedPass`.

    Attributes
    ----------
    attention : AttentionMap
    hidden : tensor, shape (tokens, width)
        Decoder output in the rows that predict the tokens.
    tokens : Tokens
    output_layer : torch.nn.Module
        From width to vocabulary.
    """

    attention: AttentionMap
    hidden: torch.Tensor
    tokens: Tokens
    output_layer: Any

    def probabilities(self) -> NDArray[np.float64]:
        """Probability of each text token, shape (tokens,)."""
        with torch.inference_mode():
            scores = self.output_layer(self.hidden).float()
            wanted = torch.tensor(self.tokens.ids, dtype=torch.long, device=scores.device)
            chosen = scores.gather(1, wanted[:, None])[:, 0] - scores.logsumexp(1)
        result: NDArray[np.float64] = chosen.double().exp().cpu().numpy()
        return result


class WhisperModel:
    """A Whisper checkpoint behind the `SpeechModel` protocol.

    Parameters
    ----------
    name : str
        For provenance.
    network : transformers.WhisperForConditionalGeneration
    tokenizer : transformers tokenizer of the checkpoint
    mel_filters : float array, shape (201, n_mels)
    """

    def __init__(self, name: str, network: Any, tokenizer: Any, mel_filters: NDArray[np.float64]) -> None:
        config, generation = network.config, network.generation_config
        extra = getattr(config, "aligner", None) or {}
        self.name = name
        self.revision = getattr(config, "_commit_hash", None) or extra.get("revision") or "local"
        self.network = network
        self.tokenizer = tokenizer
        self._spelling = tokenizer.backend_tokenizer  # what it wraps, for a fifth of the time
        self.device = next(network.parameters()).device
        self.dtype = next(network.parameters()).dtype
        self._filters = torch.as_tensor(mel_filters, dtype=torch.float32, device=self.device)
        self.sample_rate = SAMPLE_RATE
        self.feature_duration = FEATURE_DURATION
        encoder = network.model.encoder
        self._stride = encoder.conv1.stride[0] * encoder.conv2.stride[0]
        self.frame_duration = FEATURE_DURATION * self._stride
        self.window = config.max_source_positions * self.frame_duration
        self.trimmed = bool(extra.get("trimmed", False))
        self.together = 1 if self.trimmed else _TOGETHER
        self.spelling = str(extra.get("spelling", "verbatim"))
        self.ctc_labels = tuple(extra.get("ctc_labels", ()))
        self.supervised_heads = tuple((int(a), int(b)) for a, b in extra.get("supervised_heads", ()))
        self.alignment_heads = tuple((int(a), int(b)) for a, b in getattr(generation, "alignment_heads", None) or ())
        self._end = int(config.eos_token_id if isinstance(config.eos_token_id, int) else config.eos_token_id[0])
        self._start = int(config.decoder_start_token_id)
        self._no_timestamps = int(
            getattr(generation, "no_timestamps_token_id", None) or tokenizer.convert_tokens_to_ids("<|notimestamps|>")
        )
        self._languages = {
            token.strip("<|>"): int(index) for token, index in (getattr(generation, "lang_to_id", None) or {}).items()
        }
        self._tasks = dict(getattr(generation, "task_to_id", None) or {})
        self.multilingual = bool(self._languages) and getattr(generation, "is_multilingual", True)
        self.languages = tuple(sorted(self._languages)) if self.multilingual else ("en",)
        self.max_tokens = config.max_target_positions - len(self._prompt("en")) - 1
        self._suppressed = sorted(
            {*(getattr(generation, "suppress_tokens", None) or ()), *range(self._end + 1, config.vocab_size)}
        )
        self._first_suppressed = list(getattr(generation, "begin_suppress_tokens", None) or ())

    # --- audio ---------------------------------------------------------------------------

    def features(self, audio: Audio) -> torch.Tensor:
        """Log-mel features of real audio, float32 (feature frames, n_mels).

        Raises
        ------
        InputError
            More audio than one window, or none.
        """
        return self._window_features(audio)[: self._feature_frames(audio)]

    def _feature_frames(self, audio: Audio) -> int:
        return -(-len(audio.samples) // round(self.feature_duration * self.sample_rate))

    def _window_features(self, audio: Audio) -> torch.Tensor:
        """Features of all that the encoder hears: where that is a padded window, two frames of padding hear speech."""
        if audio.sample_rate != self.sample_rate:
            raise ValueError(f"model {self.name} expects {self.sample_rate} Hz, got {audio.sample_rate} Hz")
        if not 0 < audio.duration <= self.window + 1e-6:
            raise InputError(f"{audio.duration:.2f} s of audio do not fit the model's window of {self.window:g} s")
        samples = torch.from_numpy(audio.samples.copy()).to(self.device)
        if not self.trimmed:
            samples = functional.pad(samples, (0, max(0, round(self.window * self.sample_rate) - len(samples))))
        return log_mel(samples, self._filters)

    def encode(self, audio: Audio) -> Encoded:
        """Features and encoder states of one window; see `SpeechModel`."""
        features = self._window_features(audio)
        with torch.inference_mode():
            states = self.encode_features(features[None])[0]
        return Encoded(features[: self._feature_frames(audio)], states, audio.duration)

    def encode_features(self, features: torch.Tensor) -> torch.Tensor:
        """Encoder states of a batch of features; differentiable.

        Parameters
        ----------
        features : tensor, shape (batch, feature frames, n_mels)

        Returns
        -------
        tensor, shape (batch, frames, width)
            Frames of real audio for checkpoints trained trimmed, else of the whole padded window.
        """
        encoder = self.network.model.encoder
        frames = features.shape[1]
        wanted = frames + frames % self._stride if self.trimmed else round(self.window / self.feature_duration)
        if wanted > frames:
            features = functional.pad(features, (0, 0, 0, wanted - frames), value=padding_value(features.detach()))
        hidden = functional.gelu(encoder.conv1(features.transpose(1, 2).to(self.dtype)))
        # Frames first in memory too, or every layer after this one works across strides.
        hidden = functional.gelu(encoder.conv2(hidden)).transpose(1, 2).contiguous()
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        for layer in encoder.layers:
            output = layer(hidden, attention_mask=None)
            hidden = output[0] if isinstance(output, tuple) else output
        states: torch.Tensor = encoder.layer_norm(hidden)
        return states

    def real_frames(self, encoded: Encoded) -> int:
        """Encoder frames that real audio fills, at least one; as openai-whisper counts them."""
        return max(1, round(encoded.duration * self.sample_rate) // round(self.frame_duration * self.sample_rate))

    # --- text ----------------------------------------------------------------------------

    def _prompt(self, language: str | None, task: str = "transcribe") -> list[int]:
        if not self.multilingual:
            return [self._start, self._no_timestamps]
        self.check_language(language, task)
        return [self._start, self._languages[language or "en"], self._tasks[task], self._no_timestamps]

    def check_language(self, language: str | None, task: str = "transcribe") -> None:
        """Refuse a language or task that the checkpoint does not know.

        Raises
        ------
        SettingError
        """
        if language is not None and language not in self.languages:
            raise SettingError(
                f"unknown language {language!r} for model {self.name}: choose one of {', '.join(self.languages)}"
            )
        if task != "transcribe" and task not in self._tasks:
            raise SettingError(f"model {self.name} cannot {task}: it only transcribes")

    def _encode_text(self, text: str) -> list[int]:
        return list(self._spelling.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of tokens, broken byte sequences as U+FFFD."""
        return str(self._spelling.decode(list(ids), skip_special_tokens=False))

    def tokenize(self, text: str, units: str = "subword", language: str | None = None) -> Tokens:
        """Tokens of a transcript and the rows of each of its words; see `SpeechModel`.

        Raises
        ------
        SettingError
            Unknown units.
        """
        if units not in ("subword", "character"):
            raise SettingError(f"unknown units {units!r}: choose subword or character")
        if language in UNSPACED_LANGUAGES:
            return self._tokenize_unspaced(text, units)
        ids: list[int] = []
        words: list[WordSpan] = []
        waiting = ""  # marks in front of the first word
        for written in text.split():
            spoken = spoken_form(written) if self.spelling == "spoken" else ""
            if is_punctuation(written) and not spoken:
                if words:
                    last = words[-1]
                    words[-1] = WordSpan(f"{last.text} {written}", last.start, last.stop)
                else:
                    waiting += written + " "
                if self.spelling == "verbatim":
                    ids += self._pieces(self._lead(ids, units) + written, units)
                continue
            if self.spelling == "spoken":
                pieces = self._pieces((" " if ids else "") + (spoken or written), "subword")
                first = len(ids) + (1 if ids else 0)
                stop = len(ids) + len(pieces)
            else:
                pieces = self._pieces(self._lead(ids, units) + written, units)
                first, stop = self._inner(pieces, len(ids))
            ids += pieces
            words.append(WordSpan(waiting + written, first, stop))
            waiting = ""
        return self._tokens(ids, words)

    @staticmethod
    def _lead(ids: list[int], units: str) -> str:
        """A text starts with a space in subwords, with its first character in characters (arXiv 2509.09987)."""
        return " " if ids or units == "subword" else ""

    def _tokenize_unspaced(self, text: str, units: str) -> Tokens:
        """Scripts written without spaces: a word per group of tokens that spells whole characters."""
        ids = self._pieces(text.strip(), units)
        words: list[WordSpan] = []
        waiting = ""  # marks that belong to the next word
        glue = False
        for piece, start, stop in split_on_unicode(ids, self.decode):
            spelled = piece.strip()
            latin = spelled.isascii() and spelled.isalnum()
            if not spelled:
                glue = False
            elif is_punctuation(spelled) and (not words or unicodedata.category(spelled[0]) in ("Ps", "Pi")):
                waiting += spelled
            elif words and (is_punctuation(spelled) or (latin and glue and not piece.startswith(" "))):
                last = words[-1]
                words[-1] = WordSpan(last.text + spelled, last.start, stop if latin else last.stop)
            else:
                words.append(WordSpan(waiting + spelled, start, stop))
                waiting = ""
            if spelled:
                glue = latin
        if words and waiting:
            words[-1] = WordSpan(words[-1].text + waiting, words[-1].start, words[-1].stop)
        return self._tokens(ids, words)

    def _pieces(self, text: str, units: str) -> list[int]:
        if units == "subword":
            return self._encode_text(text)
        return [token for character in text for token in self._encode_text(character)]

    def _inner(self, pieces: list[int], offset: int) -> tuple[int, int]:
        """Rows of a word without its leading space and outer punctuation."""
        groups = split_on_unicode(pieces, self.decode)
        spoken = [(start, stop) for text, start, stop in groups if text.strip() and not is_punctuation(text)]
        if not spoken:
            return offset, offset + len(pieces)
        return offset + spoken[0][0], offset + spoken[-1][1]

    def _tokens(self, ids: list[int], words: list[WordSpan]) -> Tokens:
        return Tokens(tuple(ids), tuple(self.decode([token]) for token in ids), tuple(words))

    # --- decoder -------------------------------------------------------------------------

    def _check_length(self, tokens: Tokens) -> None:
        if len(tokens) > self.max_tokens:
            raise InputError(
                f"the transcript has {len(tokens)} tokens, model {self.name} takes {self.max_tokens} in one window: "
                "split the text or the recording"
            )

    @contextmanager
    def _projections(self, and_no_more: bool = False) -> Iterator[list[list[torch.Tensor]]]:
        """Queries and keys of every cross-attention while the decoder runs; it may be left as soon as all are there."""
        layers = self.network.model.decoder.layers
        seen: list[list[torch.Tensor]] = [[] for _ in layers]

        def note(found: list[torch.Tensor], projected: torch.Tensor) -> None:
            found.append(projected)
            if and_no_more and all(len(both) == 2 for both in seen):
                raise _AllSeen

        handles = []
        for layer, found in zip(layers, seen, strict=True):
            for projection in (layer.encoder_attn.q_proj, layer.encoder_attn.k_proj):
                handles.append(projection.register_forward_hook(lambda _m, _i, out, found=found: note(found, out)))
        try:
            yield seen
        except _AllSeen:
            pass
        finally:
            for handle in handles:
                handle.remove()

    def _decoder_pass(self, encoded: Encoded, ids: Sequence[int]) -> torch.Tensor:
        """Decoder output for every position, shape (positions, width)."""
        output = self.network.model.decoder(
            input_ids=torch.tensor([ids], device=self.device),
            encoder_hidden_states=encoded.states[None],
            use_cache=False,
        )
        hidden: torch.Tensor = output.last_hidden_state[0]
        return hidden

    def _forced_ids(self, tokens: Tokens, language: str | None) -> tuple[list[int], int]:
        """Prompt, text and end of a teacher-forced pass, and the position that predicts the first text token."""
        self._check_length(tokens)
        prompt = self._prompt(language)
        return [*prompt, *tokens.ids, self._end], len(prompt) - 1

    def _scores(self, projections: list[list[torch.Tensor]], encoded: Encoded, first: int) -> AttentionMap:
        """Scores of every layer and head from its queries and keys."""
        heads = self.network.config.decoder_attention_heads
        shape = (len(projections), heads, projections[0][0].shape[1], encoded.states.shape[0])
        logits = torch.empty(shape, device=self.device)
        for scores, (queries, keys) in zip(logits, projections, strict=True):
            query, key = (part[0].float().unflatten(-1, (heads, -1)).transpose(0, 1) for part in (queries, keys))
            torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(1, 2), out=scores)
        return AttentionMap(
            logits.cpu().numpy(), self.real_frames(encoded), self.frame_duration, prefix=first, suffix=1
        )

    def force(self, encoded: Encoded, tokens: Tokens, language: str | None = None) -> _ForcedPass:
        """One teacher-forced pass; see `SpeechModel`.

        Raises
        ------
        InputError
            More tokens than the decoder takes.
        """
        ids, first = self._forced_ids(tokens, language)
        with torch.inference_mode(), self._projections() as projections:
            hidden = self._decoder_pass(encoded, ids)
            attention = self._scores(projections, encoded, first)
        return _ForcedPass(attention, hidden[first : first + len(tokens)], tokens, self.network.proj_out)

    def attend(self, encoded: Encoded, tokens: Tokens, language: str | None = None) -> AttentionMap:
        """Cross-attention scores of one teacher-forced pass, which ends where they are known; see `SpeechModel`."""
        ids, first = self._forced_ids(tokens, language)
        with torch.inference_mode():
            with self._projections(and_no_more=True) as projections:
                self._decoder_pass(encoded, ids)
            return self._scores(projections, encoded, first)

    def token_log_probs(self, states: torch.Tensor, tokens: Tokens, language: str | None = None) -> torch.Tensor:
        """Log-probabilities of teacher-forced passes over a batch of encoder states; see `SpeechModel`."""
        self._check_length(tokens)
        prompt = self._prompt(language)
        ids = torch.tensor([[*prompt, *tokens.ids]], device=self.device).expand(len(states), -1)
        hidden = self.network.model.decoder(
            input_ids=ids, encoder_hidden_states=states.to(self.dtype), use_cache=False
        ).last_hidden_state
        return functional.log_softmax(self.network.proj_out(hidden[:, len(prompt) - 1 :]).float(), -1)

    def text_log_probs(
        self, encoded: Encoded, texts: Sequence[Tokens], language: str | None = None
    ) -> NDArray[np.float64]:
        """Log-probabilities of texts with their ends over one window; see `SpeechModel`.

        Raises
        ------
        InputError
            More tokens than the decoder takes.
        """
        prompt = self._prompt(language)
        rows = []
        for tokens in texts:
            self._check_length(tokens)
            rows.append(torch.tensor([*prompt, *tokens.ids, self._end], device=self.device))
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self._end)
        said = torch.arange(ids.shape[1], device=self.device) < torch.tensor(
            [[len(row)] for row in rows], device=self.device
        )
        with torch.inference_mode():
            keys_and_values = [
                [projected[None].expand(len(rows), -1, -1, -1) for projected in self._projected(layer, encoded.states)]
                for layer in self.network.model.decoder.layers
            ]
            hidden = self._decode_over(keys_and_values, ids[:, :-1], encoded.states)[:, len(prompt) - 1 :]
            scores = functional.log_softmax(self.network.proj_out(hidden).float(), -1)
            chosen = scores.gather(2, ids[:, len(prompt) :, None])[..., 0]
            found: NDArray[np.float64] = (chosen * said[:, len(prompt) :]).sum(1).double().cpu().numpy()
        return found

    def occluded_log_probs(
        self, states: torch.Tensor, keep: torch.Tensor, tokens: Tokens, language: str | None = None
    ) -> torch.Tensor:
        """Log-probabilities over one window's states with whole frames zeroed; see `SpeechModel`.

        A zeroed state has the key of the projection's bias and the value of
        its bias, so keys and values are projected once and masked.
        """
        self._check_length(tokens)
        prompt = self._prompt(language)
        shown = keep[:, None, :, None]
        silent = torch.zeros_like(states[:1])
        keys_and_values = [
            [
                torch.where(shown, full, empty)
                for full, empty in zip(self._projected(layer, states), self._projected(layer, silent), strict=True)
            ]
            for layer in self.network.model.decoder.layers
        ]
        ids = torch.tensor([[*prompt, *tokens.ids]], device=self.device).expand(len(keep), -1)
        hidden = self._decode_over(keys_and_values, ids, states)
        return functional.log_softmax(self.network.proj_out(hidden[:, len(prompt) - 1 :]).float(), -1)

    def _projected(self, layer: Any, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values (heads, frames, width of a head) of a decoder layer's cross-attention over one window."""
        attention = layer.encoder_attn
        keys, values = (
            projection(states.to(self.dtype)).unflatten(-1, (attention.num_heads, -1)).transpose(0, 1)
            for projection in (attention.k_proj, attention.v_proj)
        )
        return keys, values

    def _decode_over(
        self, keys_and_values: Sequence[Sequence[torch.Tensor]], ids: torch.Tensor, states: torch.Tensor
    ) -> torch.Tensor:
        """Decoder output for tokens (batch, length) over given keys and values of each layer, the batch first."""
        from transformers import DynamicCache, EncoderDecoderCache

        cross = DynamicCache()
        for index, pair in enumerate(keys_and_values):
            cross.update(*pair, index)
        cache = EncoderDecoderCache(DynamicCache(), cross)
        cache.is_updated = dict.fromkeys(range(len(keys_and_values)), True)
        return self._decode_on(cache, ids, states[None])

    def _decode_on(self, cache: Any, ids: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Decoder output for more tokens than a cache holds; they join it."""
        decoder = self.network.model.decoder
        # transformers 5.24 renamed the argument.
        name = "cache" if "cache" in inspect.signature(decoder.forward).parameters else "past_key_values"
        output = decoder(input_ids=ids, encoder_hidden_states=states, use_cache=True, **{name: cache})
        hidden: torch.Tensor = output.last_hidden_state
        return hidden

    @property
    def encoder_layers(self) -> Any:
        """Layers of the encoder, first to last, for gradients at a chosen depth."""
        return self.network.model.encoder.layers

    def detect_language(self, encoded: Encoded) -> str:
        """Most probable language of a window; "en" for English-only checkpoints."""
        if not self.multilingual:
            return "en"
        codes = sorted(self._languages)
        with torch.inference_mode():
            hidden = self.network.model.decoder(
                input_ids=torch.tensor([[self._start]], device=self.device),
                encoder_hidden_states=encoded.states[None],
                use_cache=False,
            ).last_hidden_state
            scores = self.network.proj_out(hidden)[0, -1]
        return codes[int(scores[[self._languages[code] for code in codes]].argmax())]

    def transcribe(self, encoded: Encoded, language: str | None = None, task: str = "transcribe") -> str:
        """Greedy transcript of one window, without timestamps; see `SpeechModel`.

        Behind real audio alone some silence is heard: a decoder that was mostly
        trained with it goes on where a recording ends with its speech.
        """
        states = encoded.states[None]
        if self.trimmed:  # the encoder runs again: timing and lexicon take the real audio alone
            features = encoded.features
            room = round(self.window / self.feature_duration) - len(features)
            silence = (0, 0, 0, min(room, round(_SILENCE / self.feature_duration)))
            with torch.inference_mode():
                states = self.encode_features(functional.pad(features, silence, value=padding_value(features))[None])
        return self.decode(self.greedy(states, language, task)[0]).strip()

    def transcribe_all(
        self, encoded: Sequence[Encoded], language: str | None = None, task: str = "transcribe"
    ) -> list[str]:
        """Transcripts of windows, decoded together where padding makes them equally long; see `SpeechModel`."""
        if self.trimmed:
            return [self.transcribe(window, language, task) for window in encoded]
        found = self.greedy(torch.stack([window.states for window in encoded]), language, task)
        return [self.decode(ids).strip() for ids in found]

    def greedy(self, states: torch.Tensor, language: str | None = None, task: str = "transcribe") -> list[list[int]]:
        """Greedy token ids for a batch of encoder states (batch, frames, width)."""
        from transformers import DynamicCache, EncoderDecoderCache

        prompt = self._prompt(language, task)
        ids = torch.tensor([prompt] * len(states), device=self.device)
        found: list[list[int]] = [[] for _ in states]
        open_rows = torch.ones(len(states), dtype=torch.bool, device=self.device)
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        with torch.inference_mode():
            for step in range(self.max_tokens):
                hidden = self._decode_on(cache, ids, states)
                scores = self.network.proj_out(hidden[:, -1]).float()
                scores[:, self._suppressed] = -torch.inf
                if step == 0 and self._first_suppressed:
                    scores[:, self._first_suppressed] = -torch.inf
                chosen = scores.argmax(-1)
                open_rows &= chosen != self._end
                if not bool(open_rows.any()):
                    break
                for row in torch.nonzero(open_rows)[:, 0].tolist():
                    found[row].append(int(chosen[row]))
                ids = chosen[:, None]
        return found
