"""From the reference PyTorch code and a checkpoint to the graphs that we serve.

    reference   the published modules, built from a config and a checkpoint
    layers      their building blocks, rewritten so that a batched row equals a single one
    planner     graph ``plan``:       tokens            → durations, aligned features, pitch, energy
    vocoder     graphs ``front``:     aligned features  → features at 80 Hz, whole clause
                       ``source``:    pitch, noise      → harmonic source spectrum, whole clause
                       ``generator``: a window of both  → PCM and its normalisation statistics
    graphs      ONNX files of the four, and what a model folder holds
    standin     the same architecture with seeded weights, full size or tiny
    verify      the graphs against the reference forward pass
    fidelity    windowed rendering against whole-sentence decoding

This is the only package of the gateway that imports torch and the ``kokoro`` package; both come
with ``pip install 'voice-gateway[export]'`` and nothing at run time needs them.
"""
