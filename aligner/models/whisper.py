"""Every Whisper checkpoint behind the `SpeechModel` protocol.

The encoder always hears a window of 30 s, the real audio and silence, as it
was trained to; on a processor most of the silence can be left out
(`aligner.models.silence`). One teacher-forced pass of the decoder gives the attention of
every layer and head, and ends at the last one where nothing else is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from aligner.core import AttentionMap, Audio, Tokens
from aligner.errors import InputError, ModelError, SettingError
from aligner.models import known
from aligner.models import tokens as words
from aligner.models.base import Encoded, ForcedPass, Transcription
from aligner.models.checkpoint import Checkpoint
from aligner.models.decode import Rules, greedy
from aligner.models.features import FEATURE_DURATION, SAMPLE_RATE, log_mel, mel_filters, padding_value
from aligner.models.network import Memory, build, cross_scores
from aligner.models.rereading import Rereading
from aligner.models.shape import Shape
from aligner.models.silence import Thinned, bias, thinned

# Windows that are decoded together: a token of several costs little more than of one, since the time goes into reading
# the weights. On a processor 4 are no faster than 3, and take 50 MB more.
_TOGETHER, _ON_CPU = 8, 3
_STRIDE = 2  # feature frames per encoder frame


@dataclass(frozen=True)
class Special:
    """Ids of Whisper's special tokens.

    Attributes
    ----------
    end, start, no_timestamps : int
    no_speech : int or None
    languages, tasks : dict
        Ids by code and by task; empty for English-only checkpoints.
    """

    end: int
    start: int
    no_timestamps: int
    no_speech: int | None
    languages: dict[str, int]
    tasks: dict[str, int]

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Special:
        """Those of a checkpoint.

        Raises
        ------
        ModelError
            Its vocabulary is another model's.
        """
        ids = checkpoint.vocabulary.special
        size = int(checkpoint.config["vocab_size"])
        wanted = ("<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>")
        odd = any(name not in ids for name in wanted) or max(ids[name] for name in wanted) >= size
        if odd or (size in known.VOCABULARIES and ids["<|notimestamps|>"] != size - known.TIMESTAMPS - 1):
            raise ModelError(
                f"model {checkpoint.name!r}: its vocabulary is not that of a Whisper with {size} tokens; "
                "are the files of one checkpoint?"
            )
        multilingual = checkpoint.generation.get("is_multilingual", size > known.ENGLISH_VOCABULARY)
        codes = {match[1]: i for token, i in ids.items() if (match := re.fullmatch(r"<\|([a-z]{2,3})\|>", token))}
        tasks = {task: ids[f"<|{task}|>"] for task in ("transcribe", "translate") if f"<|{task}|>" in ids}
        end, start, no_timestamps = (ids[name] for name in wanted)
        return cls(
            end,
            start,
            no_timestamps,
            no_speech=ids.get("<|nospeech|>", ids.get("<|nocaptions|>")),
            languages=codes if multilingual and tasks else {},
            tasks=tasks if multilingual and codes else {},
        )


class WhisperModel:
    """A Whisper checkpoint behind the `SpeechModel` protocol.

    Parameters
    ----------
    checkpoint : Checkpoint
    device : torch.device
    dtype : torch.dtype

    Raises
    ------
    ModelError
        Files that do not make a Whisper.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        try:
            shape = Shape.of(checkpoint.config)
            self.network = build(shape, checkpoint.weights(), device, dtype)
        except ValueError as error:
            raise ModelError(f"model {checkpoint.name!r} is not a complete checkpoint: {error}") from None
        self.checkpoint = checkpoint
        self.name, self.fingerprint = checkpoint.name, checkpoint.fingerprint
        self.device, self.precision = device, str(dtype).removeprefix("torch.")
        self.dtype = torch.float32 if dtype == torch.int8 else dtype  # of what layers pass on
        self.vocabulary = checkpoint.vocabulary
        self.special = Special.of(checkpoint)
        self.sample_rate = SAMPLE_RATE
        self.feature_duration = FEATURE_DURATION
        self.frame_duration = FEATURE_DURATION * _STRIDE
        self.window = shape.max_source_positions * self.frame_duration
        self.together = _ON_CPU if device.type == "cpu" else _TOGETHER
        self.alignment_heads = checkpoint.alignment_heads
        self.languages = tuple(sorted(self.special.languages)) or ("en",)
        self.max_tokens = shape.max_target_positions - len(self.prompt("en")) - 1
        self._filters = torch.from_numpy(mel_filters(shape.num_mel_bins)).to(device)
        self.rules = self._transcript_rules()

    def _transcript_rules(self) -> Rules:
        never, first = self.checkpoint.suppressed
        size, end = self.network.shape.vocab_size, self.special.end
        barred = torch.zeros((2, size), dtype=torch.bool, device=self.device)
        barred[0, end + 1 :] = True
        for row, ids in zip(barred, (never, first or (*self.vocabulary.encode(" "), end)), strict=True):
            row[[i for i in ids if i < size]] = True
        barred[0, end] = False
        zero = self.special.no_timestamps + 1
        return Rules(end, barred[0], barred[1], self.special.no_speech, self.max_tokens, zero if zero < size else None)

    # --- audio ---------------------------------------------------------------------------

    def _features(self, audio: Audio) -> torch.Tensor:
        """Log-mel features of a whole window: two frames of its silence hear the end of the speech."""
        if audio.sample_rate != self.sample_rate:
            raise ValueError(f"model {self.name} expects {self.sample_rate} Hz, got {audio.sample_rate} Hz")
        if not 0 < audio.duration <= self.window + 1e-6:
            raise InputError(f"{audio.duration:.2f} s of audio do not fit the model's window of {self.window:g} s")
        samples = torch.from_numpy(audio.samples.copy()).to(self.device)
        silence = round(self.window * self.sample_rate) - len(samples)
        return log_mel(functional.pad(samples, (0, max(0, silence))), self._filters)

    def encode(self, audio: Audio, thin: bool = False) -> Encoded:
        """Features and encoder states of one window; see `SpeechModel`.

        Raises
        ------
        InputError
            More audio than one window, or none.
        """
        return self.encode_all([audio], thin)[0]

    def encode_all(self, audio: Sequence[Audio], thin: bool = False) -> list[Encoded]:
        """Features and encoder states of several windows; see `SpeechModel`."""
        # A processor is busy with one window; more of them together would only take more memory.
        size = 1 if self.device.type == "cpu" else len(audio)
        return [found for k in range(0, len(audio), size) for found in self._encoded(audio[k : k + size], thin)]

    def _encoded(self, audio: Sequence[Audio], thin: bool) -> list[Encoded]:
        features = torch.stack([self._features(window) for window in audio])
        rows = [-(-len(window.samples) // round(self.feature_duration * self.sample_rate)) for window in audio]
        silence = self._silence(rows, features.shape[1]) if thin else None
        with torch.inference_mode():
            states = self.network.encoder(features.to(self.dtype), silence)
        if not states.isfinite().all():
            raise ModelError(
                f"model {self.name} computes no finite numbers: its weights are damaged, or too large for "
                f"{self.precision} (then --dtype float32 helps)"
            )
        found = []
        counts = None if silence is None else silence.counts
        for i, window in enumerate(audio):
            frames = self._real_frames(window.duration)
            heard = features[i, : rows[i]].clone()
            found.append(Encoded(heard, states[i], frames, window.duration, window.samples, counts))
        return found

    def _silence(self, rows: Sequence[int], window: int) -> Thinned | None:
        """What to encode of windows with so many real feature frames; all where several are encoded as one batch."""
        if self.device.type != "cpu" or len(rows) > 1:
            return None
        return thinned(-(-rows[0] // _STRIDE), window // _STRIDE)

    def _memory(self, *windows: Encoded) -> Memory:
        """What the decoder sees of windows; shorter ones are filled up."""
        return self.network.decoder.memory([window.states for window in windows])

    def _bias(self, *windows: Encoded) -> torch.Tensor | None:
        """What is added to the scores of what it sees."""
        if all(window.counts is None for window in windows):
            return None
        counts = [w.states.new_ones(len(w.states)) if w.counts is None else w.counts for w in windows]
        return bias(pad_sequence(counts, batch_first=True), self.dtype)

    def encode_features(self, features: torch.Tensor) -> torch.Tensor:
        """Encoder states of a batch of features; differentiable.

        Parameters
        ----------
        features : tensor, shape (batch, feature frames, channels)

        Returns
        -------
        tensor, shape (batch, frames, width)
            Of the whole window; what is missing of it is silence.
        """
        missing = round(self.window / self.feature_duration) - features.shape[1]
        features = functional.pad(features, (0, 0, 0, missing), value=padding_value(features.detach()))
        states: torch.Tensor = self.network.encoder(features.to(self.dtype))
        return states

    def _real_frames(self, duration: float) -> int:
        """Encoder frames that real audio fills, at least one; as openai-whisper counts them."""
        return max(1, round(duration * self.sample_rate) // round(self.frame_duration * self.sample_rate))

    @property
    def encoder_layers(self) -> torch.nn.ModuleList:
        """Layers of the encoder, first to last, for gradients at a chosen depth."""
        return self.network.encoder.layers

    # --- text ----------------------------------------------------------------------------

    def prompt(self, language: str | None, task: str = "transcribe") -> list[int]:
        """Tokens that tell the decoder what to write.

        Raises
        ------
        SettingError
            A language or task that the checkpoint does not know.
        """
        special = self.special
        if not special.languages:
            return [special.start, special.no_timestamps]
        self.check_language(language, task)
        return [special.start, special.languages[language or "en"], special.tasks[task], special.no_timestamps]

    def check_language(self, language: str | None, task: str = "transcribe") -> None:
        """Refuse a language or task that the checkpoint does not know.

        Raises
        ------
        SettingError
        """
        if language not in (None, "en") and not self.special.languages:
            raise SettingError(
                f"model {self.name} knows English only, not {language!r}: choose a multilingual one, such as base"
            )
        if language is not None and language not in self.languages:
            raise SettingError(
                f"unknown language {language!r} for model {self.name}: choose one of {', '.join(self.languages)}"
            )
        if task != "transcribe" and task not in self.special.tasks:
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
        """Greedy transcripts of windows; see `SpeechModel`."""
        zero = self.rules.zero if timestamps else None
        timed = zero is not None
        prompt = self.prompt(language, task)[: -1 if timed else None]
        with torch.inference_mode():
            found = greedy(self.network, self._memory(*windows), prompt, self.rules, timed, self._bias(*windows))
        if zero is not None:
            found = [replace(text, ids=tuple(i for i in text.ids if i < zero)) for text in found]
        return [
            Transcription(self.vocabulary.decode(text.ids).strip(), text.ids, text.mean_log_prob, text.no_speech)
            for text in found
        ]

    def language_probabilities(self, encoded: Encoded) -> dict[str, float]:
        """Probability of each language in a window; see `SpeechModel`."""
        codes = self.special.languages
        if not codes:
            return {"en": 1.0}
        with torch.inference_mode():
            start = torch.tensor([[self.special.start]], device=self.device)
            hidden, _ = self.network.decoder(start, self._memory(encoded), bias=self._bias(encoded))
            scores = self.network.decoder.scores(hidden)[0, -1, list(codes.values())]
        return dict(zip(codes, scores.softmax(-1).tolist(), strict=True))

    def detect_language(self, encoded: Encoded) -> tuple[str, float]:
        """Most probable language of a window, and its probability."""
        return max(self.language_probabilities(encoded).items(), key=lambda item: item[1])

    # --- teacher-forced ------------------------------------------------------------------

    def _check_length(self, tokens: Tokens) -> None:
        if len(tokens) > self.max_tokens:
            raise InputError(
                f"the transcript has {len(tokens)} tokens, model {self.name} takes {self.max_tokens} in one window: "
                "split the text or the recording"
            )

    def _forced_ids(self, tokens: Tokens, language: str | None) -> tuple[torch.Tensor, int]:
        """Prompt, text and end of a teacher-forced pass, and the position that predicts the first text token."""
        self._check_length(tokens)
        prompt = self.prompt(language)
        return torch.tensor([[*prompt, *tokens.ids, self.special.end]], device=self.device), len(prompt) - 1

    def _attention(self, queries: Sequence[torch.Tensor], memory: Memory, encoded: Encoded, first: int) -> AttentionMap:
        logits = torch.cat([cross_scores(query, keys) for query, (keys, _) in zip(queries, memory, strict=True)])
        if encoded.counts is not None:
            logits += encoded.counts.log()
        return AttentionMap(logits.cpu().numpy(), encoded.frames, self.frame_duration, prefix=first, suffix=1)

    def force(self, encoded: Encoded, tokens: Tokens, language: str | None = None) -> ForcedPass:
        """One teacher-forced pass; see `SpeechModel`.

        Raises
        ------
        InputError
            More tokens than the decoder takes.
        """
        ids, first = self._forced_ids(tokens, language)
        with torch.inference_mode():
            memory = self._memory(encoded)
            hidden, queries = self.network.decoder(ids, memory, bias=self._bias(encoded))
        text = hidden[0, first : first + len(tokens)]
        return ForcedPass(
            lambda: self._attention(queries, memory, encoded, first),
            tokens.ids,
            lambda part: self.network.decoder.scores(text[part])[:, : self.special.end],
        )

    def attend(self, encoded: Encoded, tokens: Tokens, language: str | None = None) -> AttentionMap:
        """Cross-attention scores of one teacher-forced pass, which ends where they are known; see `SpeechModel`."""
        ids, first = self._forced_ids(tokens, language)
        with torch.inference_mode():
            memory = self._memory(encoded)
            queries = self.network.decoder.queries(ids, memory, self._bias(encoded))
            return self._attention(queries, memory, encoded, first)

    def token_log_probs(self, states: torch.Tensor, tokens: Tokens, language: str | None = None) -> torch.Tensor:
        """Log-probabilities of teacher-forced passes over a batch of encoder states; see `SpeechModel`."""
        ids, first = self._forced_ids(tokens, language)
        hidden, _ = self.network.decoder(ids[:, :-1], self.network.decoder.memory(states.to(self.dtype)))
        return functional.log_softmax(self.network.decoder.scores(hidden[:, first:]), -1)

    def reread(self, encoded: Encoded, tokens: Tokens, language: str | None = None) -> Rereading:
        """A text to be read again over a window of which parts are hidden; see `aligner.models.base.Rereads`."""
        ids, first = self._forced_ids(tokens, language)
        missing = round(self.window / self.feature_duration) - len(encoded.features)
        features = functional.pad(encoded.features, (0, 0, 0, missing), value=padding_value(encoded.features))
        return Rereading(self.network, features, encoded.states, encoded.frames, ids[:, :-1], first)
