"""ELAN annotation files. pympi refuses with bare exceptions what is damaged, so the few elements are read here."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from aligner.core import Cue
from aligner.errors import InputError
from aligner.text.readers.base import readers, utterances
from aligner.textgrid import UTTERANCE_TIERS, WORD_TIERS


class Elan:
    """The tiers that depend on no other, as a speaker's utterances do, merged in time.

    Where some of them are called what tiers of utterances or words usually are, those alone.
    """

    def recognises(self, text: str) -> bool:
        """See `Reader`."""
        return "<ANNOTATION_DOCUMENT" in text[:4096]

    def read(self, text: str) -> Sequence[Cue]:
        """See `Reader`."""
        try:
            # The declaration may name the encoding of the bytes that this text was read from.
            root = ElementTree.fromstring(text[text.index("<ANNOTATION_DOCUMENT") :])
            slots = {slot.attrib["TIME_SLOT_ID"]: slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
            tiers = [tier for tier in root.iter("TIER") if "PARENT_REF" not in tier.attrib]
            named = [tier for tier in tiers if tier.attrib["TIER_ID"].lower() in (*UTTERANCE_TIERS, *WORD_TIERS)]
            entries = [
                (slots[part.attrib["TIME_SLOT_REF1"]], slots[part.attrib["TIME_SLOT_REF2"]], part)
                for tier in named or tiers
                for part in tier.iter("ALIGNABLE_ANNOTATION")
            ]
            return utterances(
                (int(start) / 1000, int(end) / 1000, part.findtext("ANNOTATION_VALUE") or "")
                for start, end, part in entries
                if start is not None and end is not None
            )
        except (ElementTree.ParseError, KeyError, ValueError) as error:
            raise InputError(f"the transcript is an ELAN file that is damaged: {error}") from None


readers.register("eaf")(Elan())
