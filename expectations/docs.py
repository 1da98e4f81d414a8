"""Data Docs that stand alone: Great Expectations' own pages, without what they fetch.

As shipped, the pages load styles, scripts and a logo from seven hosts, and their index is drawn
by one of those scripts: offline it is empty. They also print unexpected values unescaped, so
that a text could run as a script. Here the pages carry a style of their own, fetch and run
nothing, and the index begins with what the contract said.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from expectations.suites import Evaluation
from expectations.terms import Finding

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;
color:#1d2733;background:#fff}
a{color:#0b5cad} h1{font-size:1.5rem} h5{font-size:1.1rem;margin:1.2rem 0 .3rem}
h6{margin:.6rem 0 .2rem} table{border-collapse:collapse;width:100%;margin:.5rem 0}
td,th{border:1px solid #d5dde5;padding:.35rem .6rem;text-align:left;vertical-align:top}
th{background:#f1f4f7} td td,td th{border:0} .critical{color:#b3261e} .warning{color:#96610a}
.info{color:#44617b} .verdict{font-size:1.1rem;border-left:4px solid #1b7f4d;padding:.4rem .8rem}
.refused{border-color:#b3261e} .badge{background:#e8eef4;border-radius:3px;padding:0 .3rem}
i.fas::before{font-style:normal;font-weight:bold} i.text-success::before{content:"\\2713 holds";
color:#1b7f4d} i.text-danger::before{content:"\\2717 fails";color:#b3261e}
i.fa-exclamation-triangle::before{content:"! error";color:#96610a}
.card,.cooltip span,a[data-toggle]{display:none} pre{white-space:pre-wrap}
.container-fluid,.row,.col-md-12{margin:0}
"""


POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
)


def publish(evaluation: Evaluation, findings: Sequence[Finding], reason: str, folder: Path) -> Path:
    """Write `index.html`, `validation.html` and `suite.html`; older ones are replaced.

    Args:
        evaluation: What Great Expectations said.
        findings: What the contract said.
        reason: The verdict in one sentence.
        folder: Made where absent.

    Returns:
        Path of the index page.
    """
    renderers = importlib.import_module("great_expectations.render.renderer.page_renderer")
    folder.mkdir(parents=True, exist_ok=True)
    for item in evaluation.result.results:
        item.result = _escaped(item.result)
    validation = renderers.ValidationResultsPageRenderer().render(evaluation.result)
    suite = renderers.ExpectationSuitePageRenderer().render(evaluation.suite)
    view = importlib.import_module("great_expectations.render.view").DefaultJinjaPageView()
    for name, content in {"validation.html": validation, "suite.html": suite}.items():
        (folder / name).write_text(_alone(str(view.render(content))), "utf-8")
    index = folder / "index.html"
    index.write_text(_index(findings, reason, evaluation), "utf-8")
    return index


def _alone(page: str) -> str:
    """A page of Great Expectations that fetches and runs nothing."""
    page = re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL)
    page = re.sub(r"<style\b.*?</style>", "", page, flags=re.DOTALL)
    page = re.sub(r"<footer\b.*?</footer>", "", page, flags=re.DOTALL)
    page = re.sub(r"<(link|img)\b[^>]*>", "", page)
    page = re.sub(r"<nav\b.*?</nav>\s*(</div>\s*</nav>)?", "", page, count=1, flags=re.DOTALL)
    page = re.sub(r'href="[^"#]*index\.html"', 'href="index.html"', page)
    page = re.sub(r'href="[^"#]*expectations/[^"]*"', 'href="suite.html"', page)
    back = '<p><a href="index.html">Contract</a></p>'
    page = page.replace("<head>", f"<head>{POLICY}<style>{STYLE}</style>", 1)
    return re.sub(r"<body[^>]*>", lambda found: found[0] + back, page, count=1)


def _escaped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return escape(value) if isinstance(value, str) else value


def _index(findings: Sequence[Finding], reason: str, evaluation: Evaluation) -> str:
    rows = "".join(
        f'<tr><td class="{finding.severity}">{finding.severity}</td>'
        f"<td>{escape(finding.rule)}</td><td>{f'{finding.rows:,}' if finding.rows else ''}</td>"
        f"<td>{escape(finding.message)}</td></tr>"
        for finding in findings
    )
    table = "<tr><th>severity</th><th>rule</th><th>rows</th><th>what was found</th></tr>" + rows
    refused = any(finding.severity == "critical" for finding in findings)
    verdict = "refused" if refused else "accepted"
    held = sum(outcome.success for outcome in evaluation.outcomes)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Contract</title>'
        f'{POLICY}<style>{STYLE}</style></head><body><h1>Contract</h1><p class="verdict {verdict}">'
        f"{verdict}: {escape(reason)}</p>"
        + (f"<table>{table}</table>" if rows else "<p>Every rule holds.</p>")
        + f'<p><a href="validation.html">Validation results</a>: {held} of '
        f"{len(evaluation.outcomes)} expectations hold. "
        '<a href="suite.html">The suite in words</a>.</p></body></html>\n'
    )
