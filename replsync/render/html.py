"""A plan, and what became of it, as one HTML page. Pure functions to strings."""

from replsync.plan.document import Plan
from replsync.plan.report import Report


def plan_html(plan: Plan) -> str:
    """Return the plan as an HTML page."""
    raise NotImplementedError


def report_html(report: Report) -> str:
    """Return what became of the plan as an HTML page."""
    raise NotImplementedError
