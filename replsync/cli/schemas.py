"""`replsync schema`."""

from typing import assert_never

from replsync.cli.options import DocumentName


def print_schema(document: DocumentName) -> None:
    """Print a JSON Schema."""
    match document:
        case DocumentName.MANIFEST:
            from replsync.manifest.schema import schema_text

            print(schema_text(), end="")
        case DocumentName.PLAN:
            from replsync.plan.document_schema import plan_schema_text

            print(plan_schema_text(), end="")
        case DocumentName.REPORT:
            from replsync.render.report_json import report_schema_text

            print(report_schema_text(), end="")
        case _:
            assert_never(document)
