"""The levers that `benchmarks.levers` measures: what each is, its two sides, whether the product pulls it and why.

Reasons say what a lever is and takes, which holds whatever is measured; what it brings is in the results alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sentiment.engine import PADDING

PACKAGED = "packaged"  # the side that is the product as it is
Scope = Literal["scoring", "job"]


@dataclass(frozen=True)
class Lever:
    """`pulled` and `released` name the sides; one of them is what the product does, as `used` says.

    `reason` and `reason_zh` say why beyond the ratio, which the results hold. `graph`: it changes the ONNX graph, and
    is measured in float32.
    """

    name: str
    title: str
    zh: str
    scope: Scope
    used: bool
    pulled: str
    released: str
    reason: str
    reason_zh: str
    graph: bool = False


LEVERS = (
    Lever(
        "order",
        "length-sorted batches under a token budget and a padding limit, against batches of 32 in the given order",
        "按长度排序、限定词元数与填充的批次，对比按原顺序每批 32 条",
        "scoring", True, PACKAGED, "in-order",
        f"texts of one length go together: a batch has at most {PADDING} tokens of padding",
        f"长度相近的文本同批：每批至多 {PADDING} 个填充词元",
    ),
    Lever(
        "budget",
        "the token budget and the padding limit, against length-sorted batches of 32",
        "限定词元数与填充，对比按长度排序每批 32 条",
        "scoring", True, PACKAGED, "sorted",
        "bounds the memory of a batch, however long its texts are",
        "无论文本多长，每批内存有上限",
    ),
    Lever(
        "packing",
        "several short windows packed into one row",
        "多个短窗口拼成一行",
        "scoring", False, "packed", PACKAGED,
        "attention reads rows of several texts, and the graph needs a mask of pairs of tokens",
        "注意力要读多条文本拼成的行，且计算图需要逐对掩码",
        graph=True,
    ),
    Lever(
        "vocabulary",
        "the table of pieces cut to those of these texts",
        "词表裁剪到本次文本所用的词元",
        "scoring", False, "pruned", PACKAGED,
        "the table was cut to Chinese when the base was made; cut further, it would not know the words of other texts",
        "制作基座时词表已裁剪为中文所用；再裁则不识其他文本中的词",
        graph=True,
    ),
    Lever(
        "attention",
        "each layer's attention as one fused operator",
        "每层注意力融合为一个算子",
        "scoring", False, "fused", PACKAGED,
        "the packaged graph holds only operators of the ONNX standard, which other engines read too",
        "随包计算图只用 ONNX 标准算子，其他引擎也能读取",
        graph=True,
    ),
    Lever(
        "normalising",
        "sums and normalisations as two operators, against one of ONNX Runtime's own",
        "相加与归一化分为两个算子，对比 ONNX Runtime 合成的一个",
        "scoring", True, PACKAGED, "normalised",
        "the graph is as it was exported, one optimisation less",
        "计算图保持导出时的样子，少一项优化",
    ),
    Lever(
        "tokenising",
        "texts tokenised in batches, against one by one",
        "成批分词，对比逐条分词",
        "scoring", True, PACKAGED, "one-by-one",
        "the tokeniser can spread a batch over the threads",
        "分词器可把一批文本分给多个线程",
    ),
    Lever(
        "overlap",
        "reading, inference and writing overlapped by threads",
        "读取、推理与写出由线程重叠进行",
        "job", False, "overlapped", "serial",
        "two more threads, and blocks that wait take memory",
        "多两个线程，等待中的数据块占用内存",
    ),
    Lever(
        "pinning",
        "threads pinned to CPUs",
        "线程绑定 CPU",
        "scoring", False, "pinned", PACKAGED,
        "several processes on one machine would be pinned to the same CPUs",
        "同一机器上的多个进程会绑到相同的 CPU",
    ),
)  # fmt: skip
