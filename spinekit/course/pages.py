"""The HTML of the report. Templates escape what they are given, so that a name such as ``<b>`` is shown as it is."""

from __future__ import annotations

from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

_BASE = """\
<!doctype html>{% block state %}{% endblock %}

<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>spinekit: {% block title %}{{ run }}{% endblock %}</title>
<style>
body { font: 16px/1.55 system-ui, sans-serif; max-width: 62rem; margin: 1.5rem auto; padding: 0 1rem; color: #222; }
h1, h2, h3 { line-height: 1.25; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #ccc; text-align: left; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; max-width: 100%; }
.failed { color: #a00; }
.bar { background: #4878a8; height: .7rem; min-width: 1px; }
table.times td { border-bottom-color: #eee; }
table.times td:last-child { width: 12rem; }
img { max-width: 100%; height: auto; }
code { overflow-wrap: anywhere; }
ul.cards { list-style: none; padding: 0; }
ul.cards li { display: flex; gap: 1rem; padding: .8rem 0; border-top: 1px solid #ddd; }
ul.cards .thumbnail { flex: 0 0 160px; }
ul.cards p { margin: .2rem 0; }
@media (max-width: 600px) { ul.cards li { display: block; } ul.cards .thumbnail img { max-height: 140px; }
table.times th:last-child, table.times td:last-child { display: none; } }
{% block style %}{% endblock %}
</style></head><body>
{% block body %}{% endblock %}
</body></html>
"""
_INDEX = """\
{% extends "base" %}
{% block body %}
<h1>Run {{ run }}</h1>
<p>The executed notebooks of this run, in reading order, and its scores at the end.
{% for guide in guides %}
<a href="book/{{ guide }}.html">{{ guide | capitalize }}</a>{{ " · " if not loop.last }}
{% endfor %}</p>
<h2>Notebooks</h2>
<ul class="cards">
{% for notebook in notebooks %}
<li><div class="thumbnail">{% if notebook.thumbnail %}
<img src="data:image/png;base64,{{ notebook.thumbnail }}" alt="A figure of {{ notebook.title }}">
{% endif %}</div>
<div><strong><a href="{{ notebook.folds[0].page | urlencode }}">{{ notebook.title }}</a></strong>
<p>{{ notebook.goal }}</p>
<p>{% for fold in notebook.folds %}
{% if fold.fold %}<a href="{{ fold.page | urlencode }}">fold {{ fold.fold }}</a>: {% endif %}
{% if fold.seconds is none %}<span class="failed">failed</span>
{% else %}{{ "%.1f min" | format(fold.seconds / 60) }}{% endif %}{{ ", " if not loop.last }}
{% endfor %}</p></div></li>
{% endfor %}
</ul>
{% if not_run %}
<h3>Not in this run</h3>
<ul>
{% for notebook in not_run %}
<li><strong>{{ notebook.title }}</strong>. {{ notebook.goal }}
<code>spinekit run {{ notebook.number }} {{ options }}</code></li>
{% endfor %}
</ul>
{% endif %}
<h2>Scores</h2>
<p>{{ about }}</p>
{% for name, rows in tables.items() %}
<h3>{{ name }}</h3>
<div class="wide">
<table><tr><th>weighted log loss</th>{% for column in columns %}<th class="number">{{ column }}</th>{% endfor %}</tr>
{% for row in rows %}
<tr><td>{{ row[0] }}</td>{% for value in row[1:] %}<td class="number">{{ value }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
{% else %}
<p>{{ no_scores }}</p>
{% endfor %}
{% for name, value in facts %}
<p>{{ name }}: {{ value }}</p>
{% endfor %}
{% if uncertainty_page %}
<p><a href="{{ uncertainty_page }}">The least certain grades</a></p>
{% endif %}
{% if times %}
<h2>Where the time went</h2>
<p>Seconds of the clock, by what the notebook's process was doing; sampled every 20 ms. Where it waits for worker
processes, the part says so. What a GPU computes is counted where the program waits for it.</p>
<div class="wide">
<table class="times">
<tr><th>step and part</th><th class="number">seconds</th><th class="number">share</th><th></th></tr>
{% for step in times %}
<tr><th>{{ step.name }}</th><th class="number">{{ "%.1f" | format(step.seconds) }}</th><th></th><th></th></tr>
{% for part, seconds, share in step.parts %}
<tr><td>{{ part }}</td><td class="number">{{ "%.1f" | format(seconds) }}</td>
<td class="number">{{ "%.0f" | format(100 * share) }} %</td>
<td><div class="bar" style="width: {{ "%.1f" | format(100 * share) }}%"></div></td></tr>
{% endfor %}
{% endfor %}
</table></div>
{% endif %}
{% endblock %}
"""
_NOTEBOOK = """\
{% extends "base" %}
{% block state %}<!-- {{ state }} -->{% endblock %}
{% block title %}{{ title }}{% endblock %}
{% block style %}
{{ style | safe }}
nav { font-size: .95rem; padding: .5rem 0; border-bottom: 1px solid #ddd; display: flex; flex-wrap: wrap; gap: 1.2rem; }
details.contents { margin: 1rem 0; } details.contents li.deep { margin-left: 1.2rem; }
pre { overflow-x: auto; font: 14px/1.4 ui-monospace, monospace; }
.input_area, .highlight { background: #f6f6f4; border-radius: 4px; }
.input_area pre, .highlight pre { padding: .6rem .8rem; margin: .6rem 0; }
.prompt { display: none; }
.output_subarea { overflow-x: auto; }
.output_text pre { margin: .3rem 0 .8rem; padding-left: .8rem; border-left: 3px solid #ddd; }
.output_error pre { color: #a00; }
math { font-size: 1.05em; }
{% endblock %}
{% block body %}
<nav><a href="{{ index }}">All notebooks of run {{ run }}</a>
{% for words, link in ways %}<a href="{{ link | urlencode }}">{{ words }}</a>
{% endfor %}</nav>
{% if contents %}
<details class="contents"><summary>Contents</summary><ul>
{% for level, text, anchor in contents %}
<li{{ ' class="deep"' | safe if level > 2 }}><a href="#{{ anchor }}">{{ text | striptags }}</a></li>
{% endfor %}
</ul></details>
{% endif %}
<main>
{{ body | safe }}
</main>
<nav><a href="{{ index }}">All notebooks of run {{ run }}</a>
{% for words, link in ways %}<a href="{{ link | urlencode }}">{{ words }}</a>
{% endfor %}</nav>
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
<p><a href="index.html">All notebooks of run {{ run }}</a></p>
<div class="wide">
<table><tr>{% for column in columns %}<th>{{ column }}</th>{% endfor %}</tr>
{% for row in rows %}
<tr>{% for value in row %}<td>{{ "%.2f" | format(value) if value is float else value }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
{% endblock %}
"""
_TEMPLATES = Environment(
    loader=DictLoader({"base": _BASE, "index": _INDEX, "notebook": _NOTEBOOK, "uncertainty": _UNCERTAINTY}),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)


def render(page: str, **values: Any) -> str:
    """The text of a page, ``index``, ``notebook`` or ``uncertainty``, with these values in it."""
    return _TEMPLATES.get_template(page).render(values)
