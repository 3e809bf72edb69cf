"""A tiny checkpoint in both its forms, a label space of another trade, and no way out to the network."""

from __future__ import annotations

import ipaddress
import math
import os
import random
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sentiment.taxonomy import Taxonomy, taxonomy_from_dict

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from training.model import CinesentModel

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub

# Our own sentences; texts for the tests are drawn from them.
PHRASES = (
    "座椅太硬，坐得腰疼", "空调开得太冷，冻得发抖", "音响震撼，画面清晰", "银幕上有一块污渍", "前台小姐姐很热情",
    "排队检票等了二十分钟", "爆米花又贵又不脆", "停车免费两小时，很方便", "厕所味道很大，地上都是水", "旁边的人一直打电话，没人管",
    "退票要扣一半手续费", "会员卡余额突然没了", "电影本身很好看，哭湿了两包纸巾", "剧情拖沓，看得想睡", "票价比隔壁贵一倍",
    "离地铁口走路五分钟", "出口的灯坏了，老人差点摔倒", "找经理反映也没人理", "取票机是坏的，耽误了开场", "3D眼镜模糊，戴着头晕",
    "环境干净，下次还来", "希望增加晚上的场次", "请问学生票怎么买", "要求退款，否则投诉到消协", "一般般吧，没什么感觉",
    "IMAX厅果然不一样", "可乐没有气，热狗是凉的", "沙发座很舒服，可以躺着看", "开场前广告放了十五分钟", "工作人员态度恶劣，爱理不理",
)  # fmt: skip
ENDS = ("。", "！", "，", "～", "？", "……", "😊", "\n", "；")
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


@dataclass(frozen=True)
class TinyRun:
    """What a fine-tuning leaves: the folder that `AutoModel` and `AutoTokenizer` read, and what they read from it."""

    folder: Path
    model: CinesentModel
    tokenizer: PreTrainedTokenizerFast


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Lets a socket reach this machine only."""
    real = socket.socket.connect, socket.socket.connect_ex

    def guarded(method: Any) -> Any:
        def connect(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(str(address[0])):
                raise RuntimeError(f"expected a test that stays on this machine, found a connection to {address}")
            return method(self, address)

        return connect

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(real[0]))
        patch.setattr(socket.socket, "connect_ex", guarded(real[1]))
        yield


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def phrases() -> tuple[str, ...]:
    return PHRASES


@pytest.fixture(scope="session")
def sample_texts() -> list[str]:
    """A thousand texts of one to twelve sentences, always the same."""
    rng = random.Random(7)
    return [
        "".join(rng.choice(PHRASES) + rng.choice(ENDS) for _ in range(rng.choice((1, 1, 2, 2, 3, 4, 12))))
        for _ in range(1000)
    ]


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A unigram tokeniser of 500 pieces that frames texts as `<s> … </s>`, its pieces counted in `PHRASES`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    counts = Counter(p[i : i + n] for p in PHRASES for n in (1, 2, 3) for i in range(len(p) - n + 1))
    single = {piece: 1 + counts[piece] for piece in ("▁", *"。！，～？…😊；", *counts) if len(piece) == 1}
    longer = sorted((piece for piece in counts if len(piece) > 1), key=lambda piece: (-counts[piece] * len(piece), piece))
    pieces = {**single, **{piece: 3 * counts[piece] for piece in longer[: 500 - len(SPECIAL) - len(single)]}}
    total = sum(pieces.values())
    vocabulary = [(token, 0.0) for token in SPECIAL] + [(p, math.log(n / total)) for p, n in pieces.items()]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=SPECIAL.index("<unk>")))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", SPECIAL.index("</s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>",
        unk_token="<unk>", pad_token="<pad>", mask_token="<mask>", model_max_length=66,
    )  # fmt: skip


def tiny_model(tokenizer: PreTrainedTokenizerFast, taxonomy: Taxonomy, seed: int = 3) -> CinesentModel:
    """Two layers, hidden size 32, at random; heads scaled and centred so that texts differ in all their labels."""
    import torch
    from transformers import BertConfig, BertModel

    from training.model import build_model

    torch.manual_seed(seed)
    encoder = BertModel(
        BertConfig(
            vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=128, max_position_embeddings=66, initializer_range=0.2, pad_token_id=tokenizer.pad_token_id,
        ),
        add_pooling_layer=False,
    )  # fmt: skip
    model = build_model(encoder, taxonomy, max_tokens=64)
    with torch.no_grad():
        for parameter in model.head_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
        output = model.eval()(**tokenizer(list(PHRASES), padding=True, return_tensors="pt", return_token_type_ids=False))
        model.mention_bias -= output.mention.mean(0) + 1.0
        model.polarity.bias -= output.polarity.mean((0, 1))
        for name in ("overall", "intent", "escalation"):
            getattr(model, name).bias -= getattr(output, name).mean(0)
    return model


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    """The packaged label space."""
    from sentiment.taxonomy import load_taxonomy

    return load_taxonomy()


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: PreTrainedTokenizerFast, taxonomy: Taxonomy) -> TinyRun:
    """The PyTorch side of `tiny_checkpoint`."""
    folder = tmp_path_factory.mktemp("tiny") / "run"
    model = tiny_model(tiny_tokenizer, taxonomy)
    model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return TinyRun(folder, model, tiny_tokenizer)


def package(run: TinyRun, folder: Path, thresholds: dict[str, float], uncertain: dict[str, float] | None = None) -> Path:
    """Packs a model as `training.export.export` does, with the decision rules given instead of fitted ones."""
    import onnx

    from training.calibrate import Calibration
    from training.export import _config, _write_config, quantise, write_onnx

    folder.mkdir(parents=True)
    write_onnx(run.model, folder / "float32.onnx")
    onnx.save(quantise(onnx.load(str(folder / "float32.onnx"))), str(folder / "model.onnx"))
    (folder / "float32.onnx").unlink()
    run.tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    _write_config(folder, _config(run.model, run.tokenizer, "tiny", {}), Calibration({}, thresholds, uncertain or {}))
    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory, tiny_run: TinyRun, taxonomy: Taxonomy) -> Path:
    """A packaged checkpoint over the packaged taxonomy that calls something in most texts; nobody has trained it."""
    thresholds = {**dict.fromkeys(taxonomy.keys, 0.6), "escalation": 0.5}
    bounds = {"overall": 0.5, "intent": 0.4, "mention": 0.3, "escalation": 0.05}
    return package(tiny_run, tmp_path_factory.mktemp("packed") / "tiny", thresholds, bounds)


@pytest.fixture(scope="session")
def own_taxonomy() -> Taxonomy:
    """A bakery's label space: five dimensions, other keys, other intents, sentiments in another order."""
    keys = ("bread", "counter", "opening_hours", "cost", "queue")
    return taxonomy_from_dict(
        {
            "dimensions": [{"key": key, "zh": f"甲{i}", "owner": "店长"} for i, key in enumerate(keys)],
            "sentiments": ["negative", "neutral", "positive"],
            "overall": ["negative", "positive", "neutral"],
            "intents": ["praise", "defect", "question"],
        }
    )
