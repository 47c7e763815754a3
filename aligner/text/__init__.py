"""Transcripts: read, cleaned, and how written words are said."""
