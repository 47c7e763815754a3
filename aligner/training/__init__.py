"""Teaching a timing head: from recordings and transcripts alone, without any times."""
