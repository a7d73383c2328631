"""Kokoro-82M: text → phonemes → tokens → durations → windows of speech.

symbols     the published vocabulary            voices      style tables, and mixing them
segments    words, marks and clauses            manifest    what a model directory holds
ipa         espeak's IPA in Kokoro's symbols    store       reading and verifying one
lexicon     the user's pronunciations           runtime     the only file with onnxruntime
frontend    all of these: text → Reading        install     fetching what is published
"""
