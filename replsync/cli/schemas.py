"""`replsync schema`, and the schema beside a new manifest."""

from pathlib import Path
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


def write_schema_beside(manifest: Path) -> None:
    """Write the schema that a new manifest's first line names, unless the folder has one; say so."""
    from replsync.cli.files import write_whole
    from replsync.manifest.adopting import SCHEMA_FILE
    from replsync.manifest.schema import schema_text
    from replsync.render.harmless import clean

    path = manifest.parent / SCHEMA_FILE
    if not path.exists():
        write_whole(path, schema_text().encode(), "the schema")
        print(f"wrote {clean(str(path))}: with it, editors check and complete the manifest")
