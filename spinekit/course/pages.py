"""The HTML of the report. Templates escape what they are given, so that a name such as ``<b>`` is shown as it is."""

from __future__ import annotations

from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

_BASE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>spinekit: {% block title %}{{ run }}{% endblock %}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0 2rem; }
th, td { padding: .3rem .9rem; border-bottom: 1px solid #ccc; text-align: left; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.failed { color: #a00; }
</style></head><body>
{% block body %}{% endblock %}
</body></html>
"""
_INDEX = """\
{% extends "base" %}
{% block body %}
<h1>Run {{ run }}</h1>
<p>{{ about }}</p>
{% for name, rows in tables.items() %}
<h2>{{ name }}</h2>
<table><tr><th>weighted log loss</th>{% for column in columns %}<th class="number">{{ column }}</th>{% endfor %}</tr>
{% for row in rows %}
<tr><td>{{ row[0] }}</td>{% for value in row[1:] %}<td class="number">{{ value }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{% else %}
<p>{{ no_scores }}</p>
{% endfor %}
{% for name, value in facts %}
<p>{{ name }}: {{ value }}</p>
{% endfor %}
{% if uncertainty_page %}
<p><a href="{{ uncertainty_page }}">The least certain grades</a></p>
{% endif %}
<h2>Notebooks</h2>
<table><tr><th>executed notebook</th><th class="number">fold</th><th class="number">time</th></tr>
{% for notebook in notebooks %}
<tr><td><a href="{{ notebook.page | urlencode }}">{{ notebook.step }}</a></td>
<td class="number">{{ notebook.fold }}</td>
{% if notebook.seconds is none %}
<td class="number failed">failed</td></tr>
{% else %}
<td class="number">{{ "%.0f s" | format(notebook.seconds) }}</td></tr>
{% endif %}
{% endfor %}
</table>
{% endblock %}
"""
_UNCERTAINTY = """\
{% extends "base" %}
{% block title %}{{ run }}, least certain{% endblock %}
{% block body %}
<h1>Run {{ run }}: the least certain grades first</h1>
<p>The {{ rows | length }} least certain of {{ grades }} grades (<a href="uncertainty.csv">all of them</a>);
{{ flagged }} have a reason to look again. Probabilities are those of the transformers, before blending and calibration
and without the metric's weights. Entropy in nats: 0 is certain, 1.10 knows nothing; <i>disagreed</i> is the part of it
that flipped and shifted views, and folds, do not agree on. {{ not_clinical }}</p>
<table><tr>{% for column in columns %}<th>{{ column }}</th>{% endfor %}</tr>
{% for row in rows %}
<tr>{% for value in row %}<td>{{ "%.2f" | format(value) if value is float else value }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{% endblock %}
"""
_TEMPLATES = Environment(
    loader=DictLoader({"base": _BASE, "index": _INDEX, "uncertainty": _UNCERTAINTY}),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)


def render(page: str, **values: Any) -> str:
    """The text of a page, ``index`` or ``uncertainty``, with these values in it."""
    return _TEMPLATES.get_template(page).render(values)
