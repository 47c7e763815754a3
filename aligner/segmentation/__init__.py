"""Recordings of any length: where each stretch of text is spoken, and how stretches are joined."""
