"""Makes a student by the parts of a compression, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tfrec.encoders.compression.distil import fewer_layers
from tfrec.encoders.compression.parts import Part
from tfrec.encoders.compression.prune import prune_ffn, prune_heads
from tfrec.encoders.compression.smaller_vocabulary import trim_vocabulary
from tfrec.encoders.compression.static_table import make_static
from tfrec.encoders.compression.store_small import store_small
from tfrec.encoders.compression.student import Lesson, Student
from tfrec.progress import say

_MAKERS: dict[str, Callable[[Student, Lesson, float], Student]] = {
    "vocabulary": lambda student, lesson, _: trim_vocabulary(student, lesson),
    "layers": lambda student, lesson, layers: fewer_layers(student, lesson, int(layers)),
    "heads": prune_heads,
    "ffn": prune_ffn,
    "static": lambda student, lesson, _: make_static(student, lesson),
    "bfloat16": lambda student, _lesson, _value: store_small(student, "bfloat16"),
    "int8": lambda student, _lesson, _value: store_small(student, "int8"),
}


def build_student(teacher: Student, parts: Sequence[Part], lesson: Lesson) -> Student:
    """Compresses an encoder.

    Args:
        teacher: The encoder; it is not changed.
        parts: Of `parse_parts`.
        lesson: Texts and the teacher's vectors.

    Raises:
        InvalidInput: A part does not work for this encoder.
    """
    student = teacher
    for part in parts:
        say(f"Compressing: {part}")
        student = _MAKERS[part.name](student, lesson, part.value or 0)
    return student
