"""Subtitles a professional would not retouch: what fits, where to break, how long to stay."""
