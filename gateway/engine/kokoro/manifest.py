"""What a model directory holds: ``manifest.json``.

    {
      "format": "voice-gateway-model/1",
      "name": "kokoro-v1.1-fp32",
      "architecture": "kokoro",
      "stand_in": false,
      "sample_rate": 24000,
      "frame_samples": 600,
      "graphs": [{"role": "whole", "precision": "fp32", "file": "kokoro-v1.0.onnx",
                  "bytes": 325505369, "sha256": "beb0…"}],
      "variants": {"generator": [{"file": "generator.int8.onnx", "precision": "int8",
                                  "distance_db": 0.2, "bytes": 20987654, "sha256": "77ab…"}]},
      "voices": [{"file": "voices-v1.0.bin", "bytes": 28214398, "sha256": "bca6…"}],
      "licence": "Apache-2.0",
      "source": "https://…"
    }

A *role* is the part of the model that a graph computes: ``whole`` is text to speech in one go, as
published; others are parts of the split model.  There may be several graphs of one role, told apart
by precision and by ``details``, where whoever made them writes what they are (window lengths, batch
sizes).  ``stand_in`` says that the weights are random: it speaks noise, and every figure measured
with it must say so.

*Variants* compute a role in another precision (``models quantize``), with the same inputs and
outputs (float32 still); ``distance_db`` is how far what is heard then is from the role's first
graph: the log-spectral distance that export/fidelity.py defines, as their maker measured it.  A
variant serves only where placement found it faster and near enough:

    "variants": {"generator": [{"file": "generator.int8.onnx", "bytes": 36689012, "sha256": "5c1d…",
                                "precision": "int8", "distance_db": 0.22}]}
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
)

from gateway.errors import SetupError

FORMAT = "voice-gateway-model/1"
MANIFEST_FILE = "manifest.json"
WHOLE = "whole"
"""Role of a graph that computes everything, as published."""


def _inside(file: str) -> str:
    path = PurePosixPath(file)
    if not file or path.is_absolute() or ".." in path.parts or "\\" in file:
        raise ValueError("should be a path within the model's directory")
    return file


FileName = Annotated[str, AfterValidator(_inside)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Role = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredFile(_Part):
    """A file of the model, relative to its directory."""

    file: FileName
    bytes: int = Field(gt=0)
    sha256: Sha256


Precision = Literal["fp32", "fp16", "bf16", "int8"]


class Graph(StoredFile):
    """An ONNX file."""

    role: Role
    precision: Precision
    details: dict[str, JsonValue] = {}


class Variant(StoredFile):
    """A graph of the model in another precision, with the same inputs and outputs."""

    precision: Literal["fp16", "bf16", "int8"]
    distance_db: float = Field(ge=0, allow_inf_nan=False)
    """Root mean square difference of log mel spectra, on sentences that it was not made with."""
    details: dict[str, JsonValue] = {}


class Manifest(_Part):
    """See the module's docstring."""

    format: Literal["voice-gateway-model/1"]
    name: str = Field(min_length=1, max_length=100)
    architecture: Literal["kokoro"]
    stand_in: bool
    sample_rate: Literal[24_000]
    frame_samples: int = Field(gt=0)
    graphs: tuple[Graph, ...] = Field(min_length=1)
    variants: dict[Role, tuple[Variant, ...]] = {}
    voices: tuple[StoredFile, ...] = Field(min_length=1)
    licence: str
    source: str

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """All files, graphs first."""
        variants = (each for role in self.variants.values() for each in role)
        return (*self.graphs, *variants, *self.voices)


def read_manifest(folder: Path) -> Manifest:
    """The manifest in ``folder``.  Raises SetupError that names the file and the field."""
    file = folder / MANIFEST_FILE
    try:
        text = file.read_bytes()
    except OSError as error:
        raise SetupError(f"cannot read {file}: {error.strerror}") from error
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        if where == "format":
            raise SetupError(
                f"{file}: format {fault['input']!r} is not {FORMAT!r}: the model was made for "
                "another version of this gateway"
            ) from error
        reason = fault["msg"][0].lower() + fault["msg"][1:]
        raise SetupError(f"{file}: {where or 'the file'}: {reason}", field=where) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it in one step, so that a directory with a manifest is complete."""
    file = folder / MANIFEST_FILE
    part = file.with_name(f"{MANIFEST_FILE}.part")
    part.write_text(manifest.model_dump_json(indent=2, exclude_defaults=True) + "\n")
    part.replace(file)
