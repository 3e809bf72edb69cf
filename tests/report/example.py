"""A small report made by hand: every field filled, texts invented. What draws can be tested on it."""

from __future__ import annotations

from sentiment.report import model as m
from sentiment.taxonomy import load_taxonomy

TEXTS = (
    "停车场排了四十分钟才进去，电影都开场了，再也不来了。",
    "座椅换新以后舒服多了，前台也很热情。",
    "退票打了三次电话都没人接，要求退款，否则投诉到消协！",
    "画面亮，音响震撼，就是停车收费太贵。",
    "奶茶机器人挺有意思，小朋友追着拍照。",
)
TAXONOMY = load_taxonomy()
SEATS_IN_MARCH = "trend/星河影城·锦江店/seating/2026-03-01/positive"


def figure(value: float, n: float = 120.0, half: float = 4.0) -> m.Figure:
    return m.Figure(value, value - half, value + half, n)


def index_row(key: str, zh: str, en: str, value: float, quotes: str | None = None) -> m.IndexRow:
    return m.IndexRow(
        key, zh, en, figure(value), figure(12.5, 640, 2), figure(2 * value - 100, half=8), figure(5.0, 640, 1.5),
        positive=60.0, neutral=20.0, negative=40.0, quotes=quotes,
    )  # fmt: skip


def example_report() -> m.Report:
    """The instance; equal at every call."""
    service = [d for d in TAXONOMY.dimensions if d.key in TAXONOMY.service_keys]
    kanos: tuple[m.Kano, ...] = ("basic", "performance", "excitement", "indifferent", "inconclusive")
    quadrants: tuple[m.Quadrant, ...] = ("concentrate", "keep", "low_priority", "overkill")
    return m.Report(
        meta=m.Meta(
            schema=m.SCHEMA, version="0.1.0", models=["cinesent-zh@9501110e"], lang="zh",
            inputs=[m.InputFile("scored.parquet", 640, 0, False)],
            rows=640, texts=630, empty=6, not_chinese=4, service_texts=410, cinemas=3,
            first="2026-01-01", last="2026-06-30", as_of="2026-06-30",
            columns=m.Columns("评论", "编号", "日期", "影院", "评分", None, None),
            basis="probabilities", interval_unit="texts", level=0.95, replicates=1000, seed=1,
        ),
        dimensions=[
            m.DimensionInfo(
                d.key, d.zh, d.en, d.key in TAXONOMY.service_keys,
                d.group, d.stage, d.form, d.quality, d.ledger, d.servqual, d.owner,
            )
            for d in TAXONOMY.dimensions
        ],
        labels={
            "before": m.Label("售前", "before"), "tangibles": m.Label("有形性", "tangibles"),
            "票务": m.Label("票务", "box office"), "物业": m.Label("物业", "property management"),
        },
        notes=[
            m.Note("no_customer", "action", "cannot", "没有客户列，无法回答重复投诉。",
                   "Repeats cannot be answered: there is no customer column."),
            m.Note("few_mentions", "performance", "cannot", "提及不足。", "Too few mentions."),
        ],
        performance=m.Performance(
            overall=index_row("service", "服务总体", "service overall", 61.4, "service/negative"),
            groups=[
                index_row("影院环境", "影院环境", "surroundings", 58.0),
                index_row("到达离开", "到达离开", "coming and going", 31.0, "group/到达离开/negative"),
            ],
            dimensions=[
                index_row(d.key, d.zh, d.en, 20.0 + 4 * i, f"dimension/{d.key}/negative" if i < 3 else None)
                for i, d in enumerate(service)
            ],
            film=index_row("film", "影片内容", "film", 74.0),
            sentiment={"positive": figure(48, 630), "neutral": figure(20, 630), "negative": figure(32, 630)},
            sentiment_quotes={"negative": "overall/negative"},
        ),
        priorities=m.Priorities(
            outcome="rating", exploratory=False, outcome_low=1.0, outcome_high=5.0, r2=0.42, n=612,
            impact=[
                m.ImpactRow(
                    d.key, figure(0.9, 612, 0.2), figure(0.2, 612, 0.2), figure(1.1, 612, 0.3), figure(-0.64, 612, 0.3),
                    kanos[i % 5], kanos[i % 4], 91.2 if i % 5 < 4 else 62.0, 44.0, 51.0,
                    None if i % 5 < 4 else "unstable",
                )
                for i, d in enumerate(service)
            ],
            crosshair_performance=61.4, crosshair_importance=1.1,
            importance_performance=[
                m.IpaPoint(d.key, figure(20.0 + 4 * i), figure(0.3 + 0.1 * i, 612, 0.2), quadrants[i % 4])
                for i, d in enumerate(service)
            ],
            benchmark="halved",
            fix_first=[
                m.FixRow(1, "parking", figure(2.1, 640, 0.6), figure(9.0, 640, 2), figure(4.5, 640, 1),
                         figure(28.0, 640, 6), "dimension/parking/negative"),
                m.FixRow(2, "refund", figure(0.8, 640, 0.4), figure(3.0, 640, 1), figure(1.5, 640, 1),
                         figure(9.0, 640, 4)),
            ],
        ),
        changes=m.Changes(
            comparisons=[
                m.Comparison(
                    "since", "日期", m.Label("2026-03-01 之前", "before 2026-03-01"),
                    m.Label("2026-03-01 起", "since 2026-03-01"), 210, 420,
                    rows=[
                        m.ComparisonRow("service", figure(58), figure(63), figure(5.0), figure(0.12, half=0.1),
                                        figure(-2.0), 0.014, 0.04, True),
                        m.ComparisonRow("seating", figure(30), figure(66), figure(36.0), figure(0.8, half=0.2),
                                        figure(-4.0), 0.0001, 0.001, True),
                        m.ComparisonRow("safety", m.Figure(None, n=3, reason="few_mentions"), figure(40),
                                        m.Figure(None, n=3, reason="few_mentions"),
                                        m.Figure(None, n=3, reason="few_mentions"), figure(0.1), None, None, False),
                    ],
                    cinemas=[m.CinemaChange("星河影城·锦江店", "seating", figure(22), figure(80), figure(58.0),
                                            figure(1.4, 60, 0.5), 0.0001, 0.002, True, "since/before/seating/negative",
                                            "since/after/seating/positive")],
                )
            ],
            league=m.League(
                "影院", 61.4, 6.2,
                rows=[
                    m.LeagueRow(name, 210, figure(raw), figure(shrunk), rank, low, high, tied, band,
                                {"seating": figure(raw), "parking": figure(raw - 20)}, quotes)
                    for name, raw, shrunk, rank, low, high, tied, band, quotes in (
                        ("望舒戏院·旺角", 72.0, 69.0, 1, 1, 1, False, 1, None),
                        ("星河影城·锦江店", 60.0, 60.5, 2, 2, 3, True, 2, "cinema/星河影城·锦江店"),
                        ("星河影城·和平店", 55.0, 57.0, 3, 2, 3, True, 2, None),
                    )
                ],
                left_out=1,
            ),
            trend=m.Trend(
                "month", ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"], [150, 160, 155, 165],
                series=[
                    m.TrendSeries("service", None, [figure(58), figure(57), figure(63), figure(64)], [],
                                  period_quotes=[None, None, "trend/2026-03-01/negative", None]),
                    m.TrendSeries("seating", "星河影城·锦江店",
                                  [figure(22), m.Figure(None, n=0, reason="few_mentions"), figure(78), figure(81)],
                                  [m.ChangePoint("2026-03-01", figure(22), figure(80), figure(58), 0.0001, 0.003)],
                                  period_quotes=[None, None, SEATS_IN_MARCH, None]),
                ],
                quotes=[None, None, "trend/2026-03-01/negative", None],
            ),
        ),
        action=m.Action(
            owners=[
                m.OwnerRow("票务", 12, 3, 5, 18.0, 61, ["refund"], "owner/票务"),
                m.OwnerRow("物业", 8, 0, None, 30.5, 120, ["parking"], None),
            ],
            complaints=20, escalations=3, urgent="urgent", repeats=None,
            failures=[m.FailureRow("parking", 14, 9, figure(64.3, 14, 20), figure(4.0, 300, 2), "failure/parking")],
            failure_outcome="rating", failure_at_most=2.0, only_praise="only_praise",
            silent=m.Silent(
                90, 70, 20, figure(11.1, 630, 2.5), figure(22.2, 90, 8),
                [m.ShareRow("parking", 30, figure(42.9, 70, 11), "silent/parking")],
                [m.ShareRow("星河影城·锦江店", 25, figure(80.0, 31, 14))], "silent", "complaining",
            ),
        ),
        lenses=m.Lenses(
            lenses=[
                m.Lens("stage", "阶段", "stage",
                       [index_row("before", "售前", "before", 52.0), index_row("during", "售中", "during", 66.0)]),
                m.Lens("servqual", "SERVQUAL", "SERVQUAL", [index_row("tangibles", "有形性", "tangibles", 64.0)]),
            ],
            ledger=m.Ledger(
                [
                    m.LedgerLine("product", "产品价值", "product", "value", figure(12.0, 630, 2), ["picture", "sound"]),
                    m.LedgerLine("money", "货币成本", "money", "cost", figure(6.5, 630, 2), ["price", "promotion"]),
                ],
                figure(12.0, 630, 2), figure(6.5, 630, 2), figure(5.5, 630, 3), figure(20.0, 630, 3),
                {"balance": "service/negative"},
            ),
        ),
        voices=m.Voices(
            texts=[
                m.Quote(
                    str(i + 1), "scored.parquet", i + 1, text, False, f"2026-0{i + 1}-11", "星河影城·锦江店",
                    float(i % 5 + 1),
                    ("negative", "positive", "negative", "neutral", "positive")[i],  # type: ignore[arg-type]
                    ("review", "review", "complaint", "review", "review")[i], i == 2,
                    ("物业", None, "票务", "物业", None)[i], 80 - 10 * i, None,
                    [] if i == 4 else [
                        m.MentionMark(
                            ("parking", "seating", "refund", "parking")[i],
                            "positive" if i == 1 else "negative", 0.93, (0, 0, 0, 11)[i], (12, 9, 11, 17)[i],
                        )
                    ],
                )
                for i, text in enumerate(TEXTS)
            ],
            quotes={
                "service/negative": m.QuoteList([2, 0, 3], 41),
                "dimension/parking/negative": m.QuoteList([0, 3], 36),
                "dimension/picture/negative": m.QuoteList([], 0),
                "dimension/sound/negative": m.QuoteList([3], 1),
                "dimension/seating/negative": m.QuoteList([1], 1),
                "urgent": m.QuoteList([2], 3),
                "owner/票务": m.QuoteList([2], 12),
                "failure/parking": m.QuoteList([3], 14),
                "silent": m.QuoteList([0, 3], 70),
                "silent/parking": m.QuoteList([0, 3], 30),
                "complaining": m.QuoteList([2], 20),
                "only_praise": m.QuoteList([1], 300),
                "overall/negative": m.QuoteList([0, 2], 202),
                "group/到达离开/negative": m.QuoteList([0, 3], 36),
                "since/before/seating/negative": m.QuoteList([1], 12),
                "since/after/seating/positive": m.QuoteList([1], 14),
                "dimension/parking/positive": m.QuoteList([1], 12),
                "trend/2026-03-01/negative": m.QuoteList([0], 30),
                SEATS_IN_MARCH: m.QuoteList([1], 7),
                "phrase/overall/没人": m.QuoteList([2], 32),
                "cinema/星河影城·锦江店": m.QuoteList([0, 1], 210),
                "topic/机器人": m.QuoteList([4], 9),
            },
            phrases=[
                m.PhraseSet("overall", 200, 300,
                            [m.Phrase("没人", 4.1, m.Figure(1.9, 1.0, 2.8, 32), 30, 2, "phrase/overall/没人")],
                            [m.Phrase("舒服", 5.2, m.Figure(2.2, 1.4, 3.0, 45), 1, 44)], 1, 31),
                m.PhraseSet("parking", 36, 9, [m.Phrase("排队", 2.4, m.Figure(1.1, 0.2, 2.0, 13), 12, 1)], [], 1, 0),
            ],
            topics=[
                m.Topic("机器人", "new", 9, 3.3, figure(4.5, 200, 2), figure(0.0, 180, 0.0), "2026-05-02",
                        "topic/机器人"),
            ],
            uncovered=figure(21.0, 630, 3),
        ),
    )  # fmt: skip


class ExampleRows:
    """The example's texts as `Rows`."""

    columns = (
        m.RowColumn("id", "编号", "id", "text"),
        m.RowColumn("date", "日期", "date", "date"),
        m.RowColumn("rating", "评分", "rating", "number"),
        m.RowColumn("text", "文本", "text", "text"),
        m.RowColumn("overall", "整体情感", "overall", "label"),
        m.RowColumn("escalation", "需升级处理", "escalation", "flag"),
    )

    def __init__(self) -> None:
        self._quotes = example_report().voices.texts

    def __len__(self) -> int:
        return len(self._quotes)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter([(q.id, q.date, q.rating, q.text, q.overall, q.escalation) for q in self._quotes])
