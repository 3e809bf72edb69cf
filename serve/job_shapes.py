"""What the routes of uploaded files take and answer: the form's fields, a job, and the files that it leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sentiment.parts import rejects_file
from serve.score_file import REPORT, RESULT

Format = Literal["csv", "tsv", "xlsx", "jsonl", "parquet"]


@dataclass(frozen=True)
class Artefact:
    """A file that a job may leave, and how it is handed out. A link is there as soon as the file is."""

    name: str
    media_type: str
    inline: bool = False
    headers: dict[str, str] = field(default_factory=dict)


_REJECTS = rejects_file(Path(RESULT)).name.removeprefix(RESULT)
_MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}
# The report is a page of its own with everything in it: it may run its own scripts, but it is nobody's origin.
_REPORT_HEADERS = {
    "Content-Security-Policy": "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'"
}


def artefacts(kind: str) -> dict[str, Artefact]:
    """What a job with a result of this format may leave, by the name of its link. To add one, add a line."""
    return {
        "result": Artefact(f"{RESULT}.{kind}", _MEDIA_TYPES[kind]),
        "rejects": Artefact(f"{RESULT}.{kind}{_REJECTS}", _MEDIA_TYPES["jsonl"]),
        "report": Artefact(REPORT, "text/html; charset=utf-8", inline=True, headers=_REPORT_HEADERS),
    }


class FileOptions(BaseModel):
    """The fields of the form beside `file`, named as the flags of `cinesent score`."""

    model_config = ConfigDict(extra="forbid")

    text_col: str | None = Field(None, description="The column with the texts. Default: found by name and content.")
    id_col: str | None = Field(None, description="The column with the identifiers. Default: found by name.")
    sheet: str | None = Field(None, description="XLSX: the sheet to read. Default: all that have the text column.")
    format: Format | None = Field(None, description="Of the result. Default: that of the file.")
    layout: Literal["wide", "long"] = Field("wide", description="CSV, TSV, XLSX: a line a text, or a line a mention.")
    lang: Literal["en", "zh"] = Field(
        "en", description="CSV, TSV, XLSX: the language of headers and values, and of the report."
    )
    overwrite: bool = Field(False, description="Replace columns of ours that the file has already.")


class Rows(BaseModel):
    done: int
    total: int | None = Field(description="null where the file does not tell before it is read.")
    rejected: int = Field(description="Rows that the file itself breaks; the link `rejects` has them.")


class JobResponse(BaseModel):
    """`status`: queued, running, done or failed. `links`: `self`, and of what there is `result`, `rejects`, `report`;
    more may come, and a link is there only when its file is."""

    id: str
    status: Literal["queued", "running", "done", "failed"]
    name: str = Field(description="Of the file.")
    size: int = Field(description="Of the file, in bytes.")
    created: str
    finished: str | None
    expires: str | None = Field(description="When the file and its results are removed.")
    progress: float = Field(ge=0, le=1)
    rows: Rows
    detail: str | None = Field(description="Why it failed.")
    links: dict[str, str]
