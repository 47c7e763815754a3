"""Audio: read, described, resampled; where it holds speech."""
