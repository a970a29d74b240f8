"""Starts the emulator, once it knows the fields of STRUCT columns where rows come in, and has threads
enough.

Owns those two repairs. As released it forgets such fields on its way to Storage Write, and fails every
append to a table that has such a column. And each append waits in one of few threads (cores and four),
which a client that is killed leaves waiting for good: after six of them nobody is answered any more.
Does not change what it checks or answers; the arguments are its own.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc.aio

from bqemulator.api.routes.tabledata import _build_arrow_schema
from bqemulator.cli import main
from bqemulator.grpc_api import write_servicer


def told(field):
    said = {"name": field.name, "type": field.type, "mode": field.mode}
    return said | {"fields": [told(inner) for inner in field.fields or ()]}


def whole_schema(table):
    return _build_arrow_schema([told(field) for field in table.schema_.fields])


# Renamed or mended in another version: then this file goes.
assert callable(write_servicer._table_arrow_schema)
write_servicer._table_arrow_schema = whole_schema

build_server = grpc.aio.server
grpc.aio.server = lambda **options: build_server(ThreadPoolExecutor(512), **options)

if __name__ == "__main__":
    sys.exit(main())
