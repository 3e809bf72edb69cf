"""From paths to a table: find the files, see what each is, choose the columns, tell what was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sentiment.tables.base import FORMATS, SOURCE_COLUMN, ReadOptions, Table, TableError
from sentiment.tables.columns import choose_id_column, choose_text_column
from sentiment.tables.csv_reader import CsvReader
from sentiment.tables.encodings import SAMPLE, Encoding, find_encoding
from sentiment.tables.files import InputFile, find_files, suffix_format
from sentiment.tables.formats import binary_format, refuse_binary, suffix_note, text_format
from sentiment.tables.jsonl_reader import JsonArrayReader, JsonlReader, parse
from sentiment.tables.packing import Packed, unpack
from sentiment.tables.reader import Reader
from sentiment.tables.remote import RemoteError

if TYPE_CHECKING:
    import pyarrow

_MANY_FILES, _FEW_ROWS = 50, 20


def open_tables(paths: Sequence[str | Path], options: ReadOptions) -> Table:
    """Opens files, folders and, for `-`, standard input as one table; rows are read when it is iterated over.

    Raises:
        TableError: something is missing, unreadable or no table, or the text column cannot be told.
    """
    if options.input_format is not None and options.input_format not in FORMATS:
        raise TableError(f"expected --input-format to be one of {', '.join(FORMATS)}, found {options.input_format!r}")
    if options.limit is not None and options.limit < 0:
        raise TableError(f"expected --limit to be 0 or more, found {options.limit}")
    notes: list[str] = []
    readers: list[Reader] = []
    for file in find_files(paths, notes):
        reader = open_file(file, options, notes)
        if len(readers) >= _MANY_FILES:
            reader.sample = reader.sample[:_FEW_ROWS]
        readers.append(reader)
    samples = [sample for reader in readers for sample in reader.samples()]
    text_column, text_note = choose_text_column(samples, options.text_column, no_header=options.no_header)
    id_column, id_note = choose_id_column(samples, options.id_column, text_column, no_header=options.no_header)
    notes += filter(None, (text_note, id_note))
    for reader in readers:
        reader.choose(text_column)
    columns = list(dict.fromkeys(column for reader in readers for column in reader.columns))
    if len(readers) > 1:
        if SOURCE_COLUMN in columns:
            columns.remove(SOURCE_COLUMN)
            notes.append(f"{SOURCE_COLUMN} exists already: kept where it is filled, the file's name elsewhere")
        columns.append(SOURCE_COLUMN)
        notes.append(f"{len(readers)} files, columns matched by name; {SOURCE_COLUMN} names the file")
    sizes = [reader.size for reader in readers]
    size = None if None in sizes else sum(filter(None, sizes))
    return Table(
        columns=columns,
        text_column=text_column,
        id_column=id_column,
        notes=notes,
        schema=_schema(readers, columns, notes),
        size=size if size is None or options.limit is None else min(size, options.limit),
        bytes_total=sum(reader.packed.size() for reader in readers),
        readers=list(readers),
        limit=options.limit,
    )


def open_file(file: InputFile, options: ReadOptions, notes: list[str]) -> Reader:
    """The reader for one file, by its content or as `--input-format` says.

    Raises:
        TableError: it cannot be read, is no table, or not the one demanded.
    """
    try:
        return _reader(file, options, notes)
    except RemoteError as error:
        raise TableError(f"expected to read {file.name}, found: {error.strerror}; try again") from None


def _reader(file: InputFile, options: ReadOptions, notes: list[str]) -> Reader:
    packed = unpack(file)
    sample = packed.head(SAMPLE)
    if not sample:
        raise TableError(
            f"expected a table, found {packed.inner_name} in {file.name} is empty (0 bytes); export it again"
        )
    wanted = options.input_format
    kind = binary_format(sample, file.name, packed.seekable_path) if wanted in (None, "xlsx") else wanted
    if wanted == "xlsx" and kind != "xlsx":
        raise TableError(
            f"expected an XLSX workbook, found {file.name} is none; leave out --input-format or save it as .xlsx"
        )
    if kind in ("xlsx", "parquet"):
        _say(notes, suffix_note(file.name, suffix_format(packed.inner_name), kind))
        return _binary_reader(kind, packed, options, notes)
    return _text_reader(packed, sample, options, notes)


def _binary_reader(kind: str, packed: Packed, options: ReadOptions, notes: list[str]) -> Reader:
    if kind == "xlsx":
        from sentiment.tables.xlsx_reader import XlsxReader

        return XlsxReader(packed, options, notes)
    from sentiment.tables.parquet_reader import ParquetReader

    return ParquetReader(packed, notes)


def _text_reader(packed: Packed, sample: bytes, options: ReadOptions, notes: list[str]) -> Reader:
    name = packed.file.name
    if options.input_format is not None:
        found = binary_format(sample, name, packed.seekable_path)
        if found is not None:
            raise TableError(
                f"expected text in {name}, found {found.upper().replace('PARQUET', 'Parquet')}; "
                f"leave out --input-format {options.input_format}"
            )
    try:
        encoding = find_encoding(sample, name, complete=len(sample) < SAMPLE, wanted=options.encoding)
    except TableError:
        refuse_binary(sample, name)
        raise
    if not encoding.wide:
        refuse_binary(sample, name)
    start = sample[encoding.bom :].decode(encoding.codec, "replace").lstrip()
    suffix = suffix_format(packed.inner_name)
    kind = options.input_format or text_format(start.split("\n", 1)[0], _has_json_line(start), suffix)
    notes.append(f"{name}: encoding {encoding.label} ({encoding.reason})")
    if options.input_format is None:
        _say(notes, suffix_note(name, suffix, kind))
    return _reader_for(kind, start, packed, encoding, options, notes)


def _reader_for(
    kind: str, start: str, packed: Packed, encoding: Encoding, options: ReadOptions, notes: list[str]
) -> Reader:
    if kind == "json" or (kind == "jsonl" and start.startswith("[") and not _has_json_line(start)):
        return JsonArrayReader(packed, encoding, notes)
    if kind == "jsonl":
        return JsonlReader(packed, encoding, notes)
    return CsvReader(packed, encoding, options, notes)


def _has_json_line(start: str) -> bool:
    for line in start.split("\n", 20)[:20]:
        try:
            if isinstance(parse(line), dict):
                return True
        except ValueError:
            continue
    return False


def _say(notes: list[str], note: str | None) -> None:
    if note is not None:
        notes.append(note)


def _schema(readers: Sequence[Reader], columns: Sequence[str], notes: list[str]) -> pyarrow.Schema | None:
    schemas = [reader.schema for reader in readers if reader.schema is not None]
    if len(schemas) < len(readers):
        return None
    import pyarrow

    from sentiment.tables.parquet_reader import holds

    try:
        merged = pyarrow.unify_schemas(schemas, promote_options="permissive")
        joined = all(holds(merged.field(field.name).type, field.type) for schema in schemas for field in schema)
    except (pyarrow.ArrowException, TypeError):
        joined = False
    if not joined:
        notes.append("the files' types differ and cannot be joined: types are inferred anew")
        return None
    if len(readers) > 1:
        here = merged.get_field_index(SOURCE_COLUMN)
        merged = (merged if here < 0 else merged.remove(here)).append(pyarrow.field(SOURCE_COLUMN, pyarrow.string()))
    return pyarrow.schema([merged.field(column) for column in columns])
