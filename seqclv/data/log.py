"""A validated log in DuckDB: its sorted lines, its rejected rows and what the report says of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from seqclv.config import DataConfig
from seqclv.data.archive import BATCH_ROWS, ordered_batches
from seqclv.data.columns import MALFORMED, NO_CUSTOMER
from seqclv.data.copies import copied
from seqclv.data.counts import Counts
from seqclv.data.events import MICROSECONDS_PER_DAY
from seqclv.data.identities import unmatched
from seqclv.data.inspection import Inspection, inspect
from seqclv.data.lines import Lines, net
from seqclv.data.ordering import sorted_rows
from seqclv.data.remarks import passed_over, remarks, without_value
from seqclv.data.report import DataReport, findings, isoformat

REJECT_COLUMNS = ("reason", "line", "instant")


@dataclass(frozen=True)
class Log:
    """A validated log in DuckDB.

    `further_types` and `vocabularies` are in UTF-8 order, so that a code's rank never depends on the rows' order.
    """

    connection: duckdb.DuckDBPyConnection
    data: DataConfig
    originals: tuple[str, ...]  # columns kept of a rejected row
    counts: Counts
    vocabularies: tuple[tuple[str, ...], ...]  # one per categorical attribute
    until: int | None  # microseconds; rows from there on are left out
    passed_over: tuple[str, ...] = ()  # names of files beside its own that are no data files

    @property
    def further_types(self) -> tuple[str, ...]:
        """Names of the event types from FIRST_FURTHER_TYPE on."""
        return tuple(self.counts.further)

    def lines(self, archive: Path | None = None) -> Iterator[Lines]:
        """Netted lines, sorted by customer (UTF-8 bytes), instant and then every other column.

        Args:
            archive: the Parquet file to make of the lines before they are netted; None: they stay in the database.
        """
        batches = ordered_batches(
            self.connection,
            sorted_rows(self.connection, self.data, self.further_types, self.vocabularies, self.until),
            self.data,
            archive,
        )
        yield from net(batches, len(self.data.numeric), len(self.data.categorical))

    @property
    def reject_columns(self) -> tuple[str, ...]:
        """Columns of `rejects`; a log's own column of such a name gets an underscore."""
        return (*REJECT_COLUMNS, *(f"{n}_" if n in REJECT_COLUMNS else n for n in self.originals))

    def rejects(self) -> Iterator[pa.RecordBatch]:
        """Rejected rows: `reason`, `line` if malformed, `instant` if understood, and the columns as read, as text.

        They are sorted, by reason, time and text: several files are read in an order that no two runs share.
        """
        fields = "".join(f", raw[{i + 1}] AS r{i}" for i in range(len(self.originals)))
        empty = "".join(f", NULL::VARCHAR AS r{i}" for i in range(len(self.originals)))
        query = f"""SELECT reason, NULL::VARCHAR AS line, make_timestamp(ts) AS instant{fields}
            FROM staged WHERE reason IS NOT NULL
            UNION ALL SELECT '{MALFORMED}', line, NULL::TIMESTAMP{empty} FROM malformed ORDER BY ALL NULLS FIRST"""
        for batch in self.connection.cursor().sql(query).to_arrow_reader(BATCH_ROWS):
            yield batch.rename_columns(list(self.reject_columns))

    def inspected(self) -> Inspection:
        """What the lines tell once `lines` has begun to hand them out.

        Raises:
            InputError: see `seqclv.data.inspection.inspect`.
        """
        return inspect(self.connection, self.data, self.counts.last, self.until)

    def report(
        self, inspection: Inspection, customers: int, duplicates: int, shares: tuple[float | None, float | None]
    ) -> DataReport:
        """The data report, with what only the sorted lines and the store tell."""
        counts = self.counts
        report = DataReport(
            rows_read=counts.read,
            rows_kept=counts.kept,
            rows_rejected=sum(counts.reasons.values()),
            rejected_by_reason=counts.reasons,
            rows_without_customer=counts.reasons.get(NO_CUSTOMER, 0),
            rows_after_end=counts.after_end,
            rows_filtered=counts.filtered,
            rows_filtered_unknown=counts.filtered_unknown,
            rows_relabelled=counts.relabelled,
            rows_not_profiled=counts.objections.rows,
            customers_not_profiled=counts.objections.customers,
            customers_forgotten=counts.forgotten,
            customers=customers,
            first_timestamp=isoformat(counts.first),
            last_timestamp=isoformat(counts.last),
            span_days=(counts.last - counts.first) / MICROSECONDS_PER_DAY,
            exact_duplicates=duplicates,
            negative_lines=counts.negative_lines,
            zero_lines=counts.zero_lines,
            further_events=counts.further,
            one_purchase_day_share=shares[0],
            top_percent_spend_share=shares[1],
            **findings(inspection),
        )
        doubts = [*remarks(report.to_dict()), *map(without_value, counts.empty)]
        doubts += copied(self.connection, counts.kept, duplicates, by_file=not self.data.watch)
        if self.data.identities is not None and not counts.relabelled:
            doubts += filter(None, [unmatched(self.connection)])
        doubts += filter(None, [passed_over(self.passed_over)])
        return replace(report, warnings=[*report.warnings, *doubts])
