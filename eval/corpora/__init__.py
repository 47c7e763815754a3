"""Recipes that bring corpora into manifests. A new corpus is one module and its name in this import."""

from eval.corpora import ami, buckeye, ctm, librispeech, lines, synthetic, textgrid, timit
from eval.corpora.base import recipes

__all__ = ["ami", "buckeye", "ctm", "librispeech", "lines", "recipes", "synthetic", "textgrid", "timit"]
