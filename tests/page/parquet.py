"""Compares a table as Parquet, as DuckDB reads it, with the same table as CSV, cell by cell.

parquet.py TABLE.parquet TABLE.csv
"""

import csv
import sys

import duckdb

parquet, written = sys.argv[1:]
relation = duckdb.sql(f"select * from read_parquet('{parquet}')")
types = dict(zip(relation.columns, map(str, relation.types)))
rows = relation.fetchall()
header, *lines = csv.reader(open(written, newline="", encoding="utf-8"))
assert relation.columns == header, (relation.columns, header)
assert len(rows) == len(lines) > 0

READ = {"BIGINT": int, "DOUBLE": float, "BOOLEAN": {"true": True, "false": False}.get, "VARCHAR": str}
for row, line in zip(rows, lines):
    for name, cell, text in zip(header, row, line):
        expected = None if text == "" else READ[types[name]](text)
        assert cell == expected and type(cell) is type(expected), (row[0], name, cell, text)

expected = {"point": "BIGINT", "plan": "VARCHAR", "hw.array.rows": "BIGINT", "energy_pj": "DOUBLE", "accuracy": "DOUBLE", "dsp": "BIGINT", "front": "BOOLEAN"}
assert expected.items() <= types.items(), types
print(len(rows), "rows,", len(header), "columns,", sorted(set(types.values())))
