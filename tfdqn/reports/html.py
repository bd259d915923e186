"""Self-contained HTML documents, for light and dark screens, wide or as narrow as a telephone's."""

from collections.abc import Iterable, Sequence
from html import escape

from tfdqn.system.utf8 import shown

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --ground: #ffffff; --line: #d1d9e0; --soft: #59636e; --box: #f6f8fa }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --ground: #0d1117; --line: #3d444d; --soft: #9aa4af; --box: #151b23 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 64rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--ground); overflow-wrap: break-word }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2rem }
figure { margin: 1.5rem 0 } figcaption { color: var(--soft); font-size: .9rem }
figure > svg { display: block; width: 100%; max-width: 40rem; height: auto; color: var(--ink) }
svg * { stroke-linejoin: round; stroke-linecap: butt }
.video img, .video video { max-width: 100%; max-height: 30rem }
.legend { list-style: none; padding: 0; margin: .5rem 0 }
.legend span { display: inline-block; width: 1rem; height: .3rem; margin-right: .5rem; vertical-align: middle }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums }
td:first-child { overflow-wrap: anywhere }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
pre { background: var(--box); border: 1px solid var(--line); border-radius: 6px; padding: .6rem; font-size: .8rem;
  white-space: pre-wrap }
@media (max-width: 40rem) {
  thead { display: none }
  tr { display: block; border-bottom: 2px solid var(--line); padding: .4rem 0 }
  td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .1rem 0; text-align: right }
  td::before { content: attr(data-column); color: var(--soft); text-align: left; flex-shrink: 0 }
  td:first-child { font-weight: 600; text-align: left } td:first-child::before { content: none }
  td:empty { display: none }
}
"""


def document(title: str, body: Iterable[str], style: str = "") -> str:
    """A whole HTML document, with escapes for what is not UTF-8 in the names of files.

    The title is plain text, the parts of the body are HTML, and `style` is CSS in addition to that of all documents.
    """
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>"
    )
    return shown("\n".join([head, f"<body>\n<h1>{escape(title)}</h1>", *body, "</body>\n</html>\n"]))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], id: str) -> str:
    """An HTML table of plain texts; on a narrow screen, each row is shown as a list of its columns."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(
        f"<tr>{''.join(_cell(column, text) for column, text in zip(columns, row, strict=True))}</tr>\n" for row in rows
    )
    return f'<table id="{id}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>'


def _cell(column: str, text: str) -> str:
    return f'<td data-column="{escape(column)}">{escape(text)}</td>'
