"""The files that an address names, here and on S3, and what changes when they do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from infra.settings import Settings
from tasks.config import ConfigError
from tasks.datasets.errors import DataError, NotThere

FORMATS = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def format_of(path: str) -> str:
    """csv, parquet or jsonl, by the ending.

    Raises:
        ConfigError: any other ending.
    """
    ending = Path(path).suffix
    if ending not in FORMATS:
        raise ConfigError(
            f"{path}: ending {ending!r} is none of {', '.join(FORMATS)}; rename or convert it"
        )
    return FORMATS[ending]


@dataclass(frozen=True)
class File:
    """One file of a batch: its address, its format, and what changes when it does."""

    address: str
    kind: str
    stamp: str


def listed(address: str, kind: str | None = None) -> list[File]:
    """The files that an address names, sorted; in folders those of a known ending.

    Args:
        address: File, folder or `s3://bucket/prefix`.
        kind: Format of a single file; by its ending where absent.

    Raises:
        ConfigError: a single file of another ending.
        NotThere: no such file or folder.
        DataError: no data in it.
    """
    if address.startswith("s3://"):
        from infra.storage import stamped

        found = stamped(address, Settings())
        single = [pair for pair in found if pair[0] == address]
        below = address.rstrip("/") + "/"
        found = single or [pair for pair in found if pair[0].startswith(below)]
    else:
        path = Path(address).expanduser()
        if not path.exists():
            raise NotThere(f"{path.absolute()}: no such file or folder; look at the input")
        single = [] if path.is_dir() else [_stamped(path)]
        found = single or [_stamped(one) for one in sorted(path.rglob("*")) if one.is_file()]
    if single:
        return [File(single[0][0], kind or format_of(address), single[0][1])]
    files = [File(name, FORMATS[Path(name).suffix], stamp) for name, stamp in found if _data(name)]
    if not files:
        raise DataError(f"{address}: holds no file that ends in {', '.join(FORMATS)}; look there")
    return files


def _stamped(path: Path) -> tuple[str, str]:
    stat = path.stat()
    return str(path), f"{stat.st_size} {stat.st_mtime_ns}"


def _data(name: str) -> bool:
    """Whether a name is that of data: `_SUCCESS` and `.crc` files are none, as in Spark."""
    path = Path(name)
    return path.suffix in FORMATS and not path.name.startswith(("_", "."))
