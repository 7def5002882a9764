"""What every page has: one file, no script, nothing fetched, fit to be printed."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_COLOURS: Final = {
    "KEPT": "#1a6b3c", "BROKEN": "#a3201d", "AT RISK": "#8a5a00", "NOT TESTED": "#4b5563",
}  # fmt: skip
_STYLE: Final = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 62rem; margin: 2rem auto;
  padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.verdict { display: inline-block; color: #fff; font-weight: 600; padding: .2rem .7rem;
  border-radius: .3rem; letter-spacing: .03em; }
.sub { color: #52606d; margin: 0 0 1rem; } .sentence { border-left: 4px solid #cbd2d9;
  padding: .3rem 0 .3rem 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th { text-align: left; font-weight: 600; color: #52606d; }
th, td { padding: .35rem .9rem .35rem 0; vertical-align: top; border-bottom: 1px solid #e4e7eb;
  overflow-wrap: break-word; }
thead th { border-bottom: 2px solid #cbd2d9; } tbody th { width: 17rem; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.yes { color: #1a6b3c; } .no { color: #a3201d; font-weight: 600; } .open { color: #8a5a00; }
.bar { background: #e4e7eb; height: .55rem; border-radius: .3rem; overflow: hidden; }
.bar i { display: block; height: 100%; background: #3e7cb1; } .bar i.late { background: #a3201d; }
footer { color: #52606d; font-size: .85rem; margin-top: 2.5rem; border-top: 1px solid #cbd2d9;
  padding-top: .7rem; } code { font-size: .9em; }
@media print { body { margin: 0; max-width: none; } }
"""


def heading(title: str, below: str, verdict: str, sentence: str) -> list[str]:
    """The parts that a page begins with; plain texts."""
    colour = _COLOURS.get(verdict, "#4b5563")
    return [
        f"<h1>{escape(title)}</h1>",
        f'<p class="sub">{escape(below)}</p>',
        f'<p><span class="verdict" style="background:{colour}">{escape(verdict)}</span></p>',
        f'<p class="sentence">{escape(sentence)}</p>',
    ]


def page(title: str, parts: Iterable[str]) -> str:
    """The whole of it; the parts are HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
