"""From evidence to words: steps, aggregation, path, words, edges; the chain itself is `window`."""
