"""Asks BigQuery, or what stands in for it, with Google's own client: tables, rows, data sets.

Owns how a table's metadata and its rows are printed: one JSON object, and one a row. JSON columns are
the text that is stored, timestamps are whole microseconds since 1970, integers are numbers, BYTES are
base64, floats that are no numbers are "NaN", "Infinity" and "-Infinity", and what is NULL is null. Writes
no rows but those of a Parquet file that is loaded, as `bq load` does. Needs the environment `bigquery`.

    bigquery_reader.py --rest http://127.0.0.1:9050 --project test create DATASET
    bigquery_reader.py --rest http://127.0.0.1:9050 --project test table DATASET.TABLE
    bigquery_reader.py --rest http://127.0.0.1:9050 --project test rows DATASET.TABLE --where "a = 1"
    bigquery_reader.py --rest http://127.0.0.1:9050 --project test load DATASET.TABLE FILE

Exit codes: 0 done; 4 there is no such table or data set; anything else is an error.
"""

import argparse
import decimal
import json
import math
import sys

from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery


def column(field):
    """One column as JSON: name, type by its name in SQL's standard, mode, and what lies in it."""
    said = {"name": field.name, "type": STANDARD.get(field.field_type, field.field_type)}
    said["mode"] = field.mode or "NULLABLE"
    if field.fields:
        said["fields"] = [column(inner) for inner in field.fields]
    return said


NO_NUMBERS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
STANDARD = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}


def metadata(table):
    by_time = table.time_partitioning
    return {
        "schema": [column(field) for field in table.schema],
        "partitioning": by_time
        and {
            "type": by_time.type_,
            "field": by_time.field,
            "expiration_ms": by_time.expiration_ms,
        },
        "clustering": table.clustering_fields,
        "labels": table.labels,
        "require_partition_filter": bool(table.require_partition_filter),
        "expires": table.expires and table.expires.isoformat(),
        "description": table.description,
    }


def whole_microseconds(text):
    """A timestamp as the REST API says it: microseconds, or seconds in decimals."""
    if text.lstrip("-").isdigit():
        return int(text)
    return int((decimal.Decimal(text) * 1_000_000).to_integral_value())


def value(field, cell):
    """One cell of the REST API's form. The client would parse JSON, and so lose how it is stored."""
    if cell is None:
        return None
    if field.mode == "REPEATED":
        single = field.to_api_repr() | {"mode": "NULLABLE"}
        single = bigquery.SchemaField.from_api_repr(single)
        return [value(single, element["v"]) for element in cell]
    kind = STANDARD.get(field.field_type, field.field_type)
    if kind == "STRUCT":
        return {inner.name: value(inner, one["v"]) for inner, one in zip(field.fields, cell["f"])}
    if kind == "INT64":
        return int(cell)
    if kind == "FLOAT64":
        number = float(cell)
        return number if math.isfinite(number) else NO_NUMBERS[str(number)]
    if kind == "BOOL":
        return cell if isinstance(cell, bool) else cell.lower() == "true"
    if kind == "TIMESTAMP":
        return whole_microseconds(str(cell))
    return cell


def rows(client, table, where):
    """Each row in REST's form, with the schema that it has."""
    if where is None:
        path, call = f"{table.path}/data", {"formatOptions.useInt64Timestamp": "true"}
        while True:
            answer = client._connection.api_request("GET", path, query_params=call)
            yield from ((table.schema, row) for row in answer.get("rows", []))
            if not answer.get("pageToken"):
                return
            call["pageToken"] = answer["pageToken"]
    query = f"SELECT * FROM `{table.project}.{table.dataset_id}.{table.table_id}` WHERE {where}"
    asked = {
        "query": query,
        "useLegacySql": False,
        "formatOptions": {"useInt64Timestamp": True},
        "maxResults": 1_000_000,
    }
    path = f"/projects/{table.project}/queries"
    answer = client._connection.api_request("POST", path, data=asked)
    fields = answer["schema"]["fields"]
    schema = [bigquery.SchemaField.from_api_repr(field) for field in fields]
    if not answer.get("jobComplete", True) or answer.get("pageToken"):
        sys.exit("the query's answer is not whole: more pages, or not ready")
    yield from ((schema, row) for row in answer.get("rows", []))


def load(client, table, path):
    """Adds a Parquet file's rows to a table."""
    options = bigquery.format_options.ParquetOptions()
    options.enable_list_inference = True
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
    )
    config.parquet_options = options
    with open(path, "rb") as file:
        client.load_table_from_file(file, table.reference, job_config=config).result()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rest", required=True, help="URL of the REST API")
    parser.add_argument("--project", required=True)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("create").add_argument("dataset")
    commands.add_parser("table").add_argument("table", help="DATASET.TABLE")
    asked = commands.add_parser("rows")
    asked.add_argument("table", help="DATASET.TABLE")
    asked.add_argument("--where", help="an expression of SQL")
    loaded = commands.add_parser("load")
    loaded.add_argument("table", help="DATASET.TABLE")
    loaded.add_argument("file", help="a Parquet file")
    args = parser.parse_args()

    client = bigquery.Client(
        project=args.project,
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=args.rest),
    )
    try:
        if args.command == "create":
            client.create_dataset(f"{args.project}.{args.dataset}", exists_ok=True)
            return
        table = client.get_table(f"{args.project}.{args.table}")
        if args.command == "table":
            print(json.dumps(metadata(table)))
            return
        if args.command == "load":
            load(client, table, args.file)
            return
        for schema, row in rows(client, table, args.where):
            cells = zip(schema, row["f"])
            print(json.dumps({field.name: value(field, cell["v"]) for field, cell in cells}))
    except NotFound as error:
        print(error, file=sys.stderr)
        sys.exit(4)


if __name__ == "__main__":
    main()
