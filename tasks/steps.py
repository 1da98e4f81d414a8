"""What the steps of a night leave, so that a rerun goes on at the first one that is missing.

`FOLDER/STEP.json` holds a step's reference, the question it answers and the sha256 of every
file the reference names. A rerun that asks the same question finds the files as they were and
takes the answer; otherwise it says which part of the question changed and computes anew. An
answer is written when its step is done, whole or not at all, so that a kill at any moment
leaves the earlier answer or the new one.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from infra.local import explained, write_whole
from infra.storage import Storage
from tasks.references import Reference

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer", bound=BaseModel)


class Kept(Reference):
    """A step's answer, what it answers, and what must still be there to take it again."""

    step: str
    question: dict[str, str]
    files: dict[str, str]
    keys: tuple[str, ...]
    reference: dict[str, Any]


class Steps:
    """The kept answers of one pipeline's night.

    Args:
        folder: Where they lie.
        storage: Holds the keys that answers refer to.
        fresh: Take none of what is kept: a person asked for everything anew.
    """

    def __init__(self, folder: Path, storage: Storage, *, fresh: bool = False) -> None:
        self.folder = folder
        self.fresh = fresh
        self._storage = storage

    def once(
        self,
        step: str,
        kind: type[Answer],
        question: Mapping[str, Any],
        compute: Callable[[], Answer],
        *,
        files: Callable[[Answer], Iterable[Path]] = lambda _: (),
        keys: Callable[[Answer], Iterable[str]] = lambda _: (),
    ) -> Answer:
        """The kept answer to a question, or a new one that is kept.

        Args:
            step: Name of the step.
            kind: Of its reference.
            question: All that the answer depends on, by a word for people: "rows", "code", ...
            compute: Answers it.
            files: Which files or folders the answer refers to.
            keys: Which keys of the store it refers to.
        """
        found = self.kept(step, kind, question)
        if found is None:
            found = compute()
            self.keep(step, question, found, files=files(found), keys=keys(found))
        return found

    def kept(self, step: str, kind: type[Answer], question: Mapping[str, Any]) -> Answer | None:
        """What is kept for a question; None where it must be computed.

        Where an earlier answer does not serve, the reason is logged.
        """
        if self.fresh:
            logger.info("%s: asked for anew", step)
            return None
        try:
            kept = Kept.model_validate_json(self._path(step).read_bytes())
            why = self._changed(kept, question)
            if why is None:
                reference = kind.model_validate(kept.reference)
                logger.info("%s: taken from the run before", step)
                return reference
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            why = f"what was kept cannot be read ({type(error).__name__})"
        logger.info("%s: computed anew, because %s", step, why)
        return None

    def keep(
        self,
        step: str,
        question: Mapping[str, Any],
        reference: BaseModel,
        *,
        files: Iterable[Path] = (),
        keys: Iterable[str] = (),
    ) -> None:
        """Keep an answer, with the digests of its files.

        Raises:
            StorageError: the disk refused it.
        """
        every = sorted(file for path in files for file in files_in(path))
        kept = Kept(
            step=step,
            question={part: digest_of(value) for part, value in question.items()},
            files={str(path): digest_of_file(path) for path in every},
            keys=tuple(keys),
            reference=reference.model_dump(mode="json"),
        )
        content = kept.model_dump_json(indent=1).encode()
        with explained("keep", step, str(self.folder)):
            write_whole(self._path(step), lambda file: file.write(content))

    def forget(self, *steps: str) -> None:
        """Drop what is kept of some steps."""
        for step in steps:
            self._path(step).unlink(missing_ok=True)

    def _path(self, step: str) -> Path:
        return self.folder / f"{step}.json"

    def _changed(self, kept: Kept, question: Mapping[str, Any]) -> str | None:
        """Why a kept answer does not serve; None where it does."""
        asked = {part: digest_of(value) for part, value in question.items()}
        parts = [part for part in asked if kept.question.get(part) != asked[part]]
        if parts or asked.keys() != kept.question.keys():
            return f"{' and '.join(parts) or 'question'} changed"
        for path, digest in kept.files.items():
            if not Path(path).is_file():
                return f"{path} is gone"
            if digest_of_file(Path(path)) != digest:
                return f"{path} was changed"
        gone = [key for key in kept.keys if not self._storage.exists(key)]
        return f"{gone[0]} is gone from the store" if gone else None


def files_in(path: Path) -> list[Path]:
    """A file as it is, or every file below a folder, sorted."""
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def digest_of_file(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_folder(path: Path) -> str:
    """sha256 over the names and bytes of all files below a folder."""
    return digest_of({str(one.relative_to(path)): digest_of_file(one) for one in files_in(path)})


def digest_of(value: Any) -> str:
    """sha256 over plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
