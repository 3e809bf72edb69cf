"""A tiny checkpoint in both its forms, a label space of another trade, and no way out to the network."""

from __future__ import annotations

import ipaddress
import logging
import math
import os
import random
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy, taxonomy_from_dict

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from training.example import Example
    from training.model import CinesentModel

os.environ["CINESENT_RUNTIME"] = "onnxruntime"  # the same answers on every processor; tests of others ask for them
os.environ["HF_HUB_OFFLINE"] = os.environ["TQDM_DISABLE"] = "1"  # before anything imports huggingface_hub

settings.register_profile("cinesent", deadline=None)  # a busy machine is no fault
settings.load_profile("cinesent")

# Our own sentences; texts for the tests are drawn from them.
PHRASES = (
    "座椅太硬，坐得腰疼", "空调开得太冷，冻得发抖", "音响震撼，画面清晰", "银幕上有一块污渍",
    "前台小姐姐很热情", "排队检票等了二十分钟", "爆米花又贵又不脆", "停车免费两小时，很方便",
    "厕所味道很大，地上都是水", "旁边的人一直打电话，没人管", "退票要扣一半手续费", "会员卡余额突然没了",
    "电影本身很好看，哭湿了两包纸巾", "剧情拖沓，看得想睡", "票价比隔壁贵一倍", "离地铁口走路五分钟",
    "出口的灯坏了，老人差点摔倒", "找经理反映也没人理", "取票机是坏的，耽误了开场", "3D眼镜模糊，戴着头晕",
    "环境干净，下次还来", "希望增加晚上的场次", "请问学生票怎么买", "要求退款，否则投诉到消协",
    "一般般吧，没什么感觉", "IMAX厅果然不一样", "可乐没有气，热狗是凉的", "沙发座很舒服，可以躺着看",
    "开场前广告放了十五分钟", "工作人员态度恶劣，爱理不理",
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
def require_tool() -> Callable[[str, str | None], None]:
    """(tool, what is missing of it or None) → nothing, if nothing is missing.

    Otherwise the test is skipped for that reason; it fails where CINESENT_REQUIRE (`browser,postgres`) lists the tool.
    """

    def check(tool: str, missing: str | None) -> None:
        if missing is None:
            return
        if tool in os.environ.get("CINESENT_REQUIRE", "").replace(" ", "").split(","):
            pytest.fail(f"CINESENT_REQUIRE lists {tool}, but {missing}", pytrace=False)
        pytest.skip(missing)

    return check


@pytest.fixture(scope="session")
def s3_bucket() -> Iterator[Callable[[str, Mapping[str, bytes]], str]]:
    """Puts files into a new bucket of an S3-compatible server on this machine; returns the bucket's address."""
    server = pytest.importorskip("moto.server", reason='moto is not installed: pip install "cinesent[dev]"')
    from pyarrow import fs

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        system = fs.S3FileSystem(endpoint_override=f"{host}:{port}", scheme="http", allow_bucket_creation=True)

        def put(bucket: str, files: Mapping[str, bytes]) -> str:
            system.create_dir(bucket)
            for name, content in files.items():
                with system.open_output_stream(f"{bucket}/{name}", compression=None) as stream:
                    stream.write(content)
            return f"s3://{bucket}"

        yield put
    running.stop()


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
    longer = sorted(
        (piece for piece in counts if len(piece) > 1), key=lambda piece: (-counts[piece] * len(piece), piece)
    )
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


@pytest.fixture(scope="session")
def make_encoder() -> Callable[..., PreTrainedModel]:
    """Builds a BERT of two layers and 32 hidden units, at random, for a tokeniser."""

    def make(tokenizer: PreTrainedTokenizerFast, *, seed: int = 3, **options: Any) -> PreTrainedModel:
        import torch
        from transformers import BertConfig, BertModel

        torch.set_num_threads(1)  # more cost more than they bring at this size
        torch.manual_seed(seed)
        sizes = {
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128,
            "max_position_embeddings": 66, "pad_token_id": tokenizer.pad_token_id, "vocab_size": len(tokenizer),
        }  # fmt: skip
        return BertModel(BertConfig(**{**sizes, **options}), add_pooling_layer=False)

    return make


@pytest.fixture(scope="session")
def loud_model(make_encoder: Callable[..., PreTrainedModel]) -> Callable[..., CinesentModel]:
    """Builds a random model whose heads are scaled and centred so that `PHRASES` differ in all their labels."""

    def make(tokenizer: PreTrainedTokenizerFast, taxonomy: Taxonomy, seed: int = 3) -> CinesentModel:
        import torch

        from training.model import build_model

        model = build_model(make_encoder(tokenizer, seed=seed, initializer_range=0.2), taxonomy, max_tokens=64)
        with torch.no_grad():
            for parameter in model.head_parameters():
                if parameter.ndim > 1:
                    parameter.normal_(std=0.3)
            batch = tokenizer(list(PHRASES), padding=True, return_tensors="pt", return_token_type_ids=False)
            output = model.eval()(**batch)
            model.mention_bias -= output.mention.mean(0) + 1.0
            model.polarity.bias -= output.polarity.mean((0, 1))
            for name in ("overall", "intent", "escalation"):
                getattr(model, name).bias -= getattr(output, name).mean(0)
        return model

    return make


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    """The packaged label space."""
    from sentiment.taxonomy import load_taxonomy

    return load_taxonomy()


@pytest.fixture(scope="session")
def tiny_run(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_tokenizer: PreTrainedTokenizerFast,
    loud_model: Callable[..., CinesentModel],
    taxonomy: Taxonomy,
) -> TinyRun:
    """The PyTorch side of `tiny_checkpoint`."""
    folder = tmp_path_factory.mktemp("tiny") / "run"
    model = loud_model(tiny_tokenizer, taxonomy)
    model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return TinyRun(folder, model, tiny_tokenizer)


@pytest.fixture(scope="session")
def package() -> Callable[..., Path]:
    """Packs a model as `training.export.export` does, with the decision rules given instead of fitted ones."""

    def pack(
        model: CinesentModel,
        tokenizer: PreTrainedTokenizerFast,
        folder: Path,
        thresholds: dict[str, float],
        uncertain: dict[str, float] | None = None,
    ) -> Path:
        import onnx

        from training.calibrate import Calibration
        from training.export import _config, _write_config
        from training.onnx_graph import write_onnx
        from training.quantise import quantise

        folder.mkdir(parents=True)
        write_onnx(model, folder / "float32.onnx")
        onnx.save(quantise(onnx.load(str(folder / "float32.onnx"))), str(folder / "model.onnx"))
        (folder / "float32.onnx").unlink()
        tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
        _write_config(
            folder, _config(model, tokenizer, "tiny", {}), Calibration(Scaling(), thresholds, uncertain or {})
        )
        return folder

    return pack


@pytest.fixture(scope="session")
def tiny_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, tiny_run: TinyRun, taxonomy: Taxonomy, package: Callable[..., Path]
) -> Path:
    """A packaged checkpoint over the packaged taxonomy that calls something in most texts; nobody has trained it."""
    thresholds = {**dict.fromkeys(taxonomy.keys, 0.6), "escalation": 0.5}
    bounds = {"overall": 0.5, "intent": 0.4, "mention": 0.3, "escalation": 0.05}
    folder = tmp_path_factory.mktemp("packed") / "tiny"
    return package(tiny_run.model, tiny_run.tokenizer, folder, thresholds, bounds)


@pytest.fixture(scope="session")
def int8_checkpoint(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """`tiny_checkpoint` with scales for int8 that are wide enough for it."""
    from tests.wide_scales import give_scales

    folder = tmp_path_factory.mktemp("int8") / "tiny"
    shutil.copytree(tiny_checkpoint, folder)
    give_scales(folder)
    return folder


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


BAKERY = {
    "bread": ("面包很香", "面包一般", "面包发酸"),
    "counter": ("店员热情", "店员话不多", "店员冷淡"),
    "opening_hours": ("开门很早", "八点开门", "关门太早"),
    "cost": ("价钱公道", "价钱和去年一样", "价钱太贵"),
    "queue": ("不用排队", "排队十分钟", "排队很久"),
}
STREETS = ("东门", "西街", "南桥", "北路", "中山公园", "老城", "河边", "学校旁", "车站", "新村")


@pytest.fixture(scope="session")
def own_examples(own_taxonomy: Taxonomy) -> Callable[[int, int], list[Example]]:
    """(count, seed) → fully labelled texts about bakeries; what decides a label is always in the words."""

    def make(count: int, seed: int) -> list[Example]:
        from training.example import parse_record

        rng = random.Random(seed)
        records = []
        for number in range(count):
            parts, labels = [], []
            for key in rng.sample(sorted(BAKERY), rng.randint(1, 3)):
                choice = rng.randrange(3)
                parts.append(BAKERY[key][choice])
                sentiment = ("positive", "neutral", "negative")[choice]
                labels.append({"dimension": key, "sentiment": sentiment, "evidence": BAKERY[key][choice]})
            score = sum({"positive": 1, "neutral": 0, "negative": -1}[label["sentiment"]] for label in labels)
            overall = "positive" if score > 0 else "negative" if score < 0 else "neutral"
            asks, threatens = rng.random() < 0.2, rng.random() < 0.2
            text = f"{rng.choice(STREETS)}{rng.randint(2, 99)}号：{'，'.join(parts)}{'，请问' if asks else ''}"
            intent = "question" if asks else "defect" if score < 0 else "praise"
            records.append(
                {
                    "text": f"{text}{'，要投诉' if threatens else ''}。", "labels": labels, "overall": overall,
                    "intent": intent, "escalation": threatens, "rating": 3 + max(-2, min(2, score)), "id": number,
                }
            )  # fmt: skip
        return [parse_record(record, own_taxonomy, f"example {i}") for i, record in enumerate(records)]

    return make


@pytest.fixture(scope="session")
def wordpiece() -> PreTrainedTokenizerFast:
    """A WordPiece tokeniser of single characters that frames texts as `[CLS] … [SEP]`, as Chinese BERTs have it."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    words = "".join(word for entry in BAKERY.values() for word in entry) + "".join(STREETS) + "号请问要投诉：，。"
    pieces = [*special, *sorted({*words, *"0123456789"}), *(f"##{digit}" for digit in range(10))]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=66,
    )  # fmt: skip


@pytest.fixture(scope="session")
def own_run(
    tmp_path_factory: pytest.TempPathFactory,
    wordpiece: PreTrainedTokenizerFast,
    make_encoder: Callable[..., PreTrainedModel],
    own_taxonomy: Taxonomy,
    own_examples: Callable[[int, int], list[Example]],
) -> TinyRun:
    """A model that `fine_tune` has taught the bakery's dimensions well."""
    from training.model import build_model
    from training.train import Recipe, fine_tune

    folder = tmp_path_factory.mktemp("own") / "run"
    model = build_model(make_encoder(wordpiece, initializer_range=0.1), own_taxonomy, max_tokens=64)
    recipe = Recipe(epochs=24, learning_rate=3e-3, head_factor=2, batch_size=16, patience=24, max_tokens=64)
    fine_tune(model, wordpiece, own_examples(300, 0), folder, recipe)
    return TinyRun(folder, model.eval(), wordpiece)


@pytest.fixture(scope="session")
def own_checkpoint(own_run: TinyRun, own_examples: Callable[[int, int], list[Example]]) -> Path:
    """`own_run`, exported with rules fitted on development texts."""
    from training.export import export

    return export(
        own_run.model, own_run.tokenizer, own_run.folder.parent / "packed", {"dev": own_examples(60, 1)}
    ).folder
