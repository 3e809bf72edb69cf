"""The names under which people see dimensions and labels, in English or Chinese, and the way back to the keys."""

from __future__ import annotations

from collections import Counter

from sentiment.tables.flat import FlatNames, Lang
from sentiment.taxonomy import Taxonomy
from training.example import DatasetError


class ShownNames:
    """A dimension is shown by its key in English, by its Chinese name in Chinese; each of its names leads back to it.

    A name that two dimensions share is shown as the key.
    """

    def __init__(self, taxonomy: Taxonomy, lang: Lang = "en") -> None:
        self._taxonomy, self._lang, self._flat = taxonomy, lang, FlatNames(taxonomy)
        names = [name for d in taxonomy.dimensions for name in {d.key, d.zh, d.en}]
        shared = {name for name, count in Counter(names).items() if count > 1}
        self._keys = {name: d.key for d in taxonomy.dimensions for name in (d.zh, d.en) if name not in shared}
        self._keys |= {key: key for key in taxonomy.keys}
        self._shared = shared

    def dimension(self, key: str) -> str:
        shown = self._taxonomy[key].zh if self._lang == "zh" else key
        return key if shown in self._shared else shown

    def dimension_key(self, shown: str) -> str:
        """
        Raises:
            DatasetError: no dimension has this name.
        """
        if shown not in self._keys:
            raise DatasetError(f"expected a dimension ({', '.join(self._taxonomy.keys)}), found {shown!r}")
        return self._keys[shown]

    def value(self, label: str) -> str:
        return self._flat.value(label, self._lang)

    def label(self, shown: str) -> str:
        return self._flat.label(shown)
