"""Printing what became of a plan."""

from typing import assert_never

from replsync.cli.options import FormatName, Shown
from replsync.cli.terminal import again, text_width, use_colour
from replsync.plan.report import Report


def print_report(report: Report, shown: Shown) -> None:
    """Print the report in the format that was asked for."""
    match shown.format:
        case FormatName.TEXT:
            from replsync.render.report_text import report_text

            text = report_text(
                report, colour=use_colour(shown.no_color), verbose=shown.verbose, width=text_width(), again=again()
            )
        case FormatName.JSON:
            from replsync.render.report_json import report_json

            text = report_json(report)
        case FormatName.MARKDOWN:
            from replsync.render.markdown import report_markdown

            text = report_markdown(report)
        case FormatName.HTML:
            from replsync.cli.page_details import details_of
            from replsync.render.html import report_html

            text = report_html(report, details_of(report.plan))
        case _:
            assert_never(shown.format)
    print(text, end="", flush=True)
