"""Corrections, jobs, and the webhook's outbox."""

import sqlalchemy as sa
from alembic import op

revision = "001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("text", sa.LargeBinary),
        sa.Column("before", sa.JSON, nullable=False),
        sa.Column("after", sa.JSON, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("by", sa.Text),
        sa.Column("at", sa.DateTime, nullable=False),
    )
    op.create_index("feedback_sha256", "feedback", ["sha256"])
    op.create_index("feedback_at", "feedback", ["at"])
    op.create_table(
        "job",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("by", sa.Text),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("finished", sa.DateTime),
        sa.Column("progress", sa.Double, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("summary", sa.JSON),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("owner", sa.String(32)),
        sa.Column("lease", sa.DateTime),
    )
    op.create_index("job_status", "job", ["status", "created"])
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("due", sa.DateTime, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
    )
    op.create_index("outbox_due", "outbox", ["due"])
    op.create_index("outbox_sha256", "outbox", ["sha256"])
