"""A plan, and what became of it, as Markdown for a pull request. Pure functions to strings."""

from replsync.plan.document import Plan
from replsync.plan.report import Report


def plan_markdown(plan: Plan) -> str:
    """Return the plan as Markdown."""
    raise NotImplementedError


def report_markdown(report: Report) -> str:
    """Return what became of the plan as Markdown."""
    raise NotImplementedError
