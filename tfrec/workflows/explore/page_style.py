"""Style sheet of the explorer's HTML. Colours follow the page's theme, for which Streamlit sets `color-scheme`."""

from __future__ import annotations

from tfrec.reporting.diverging_bars import STYLE as BARS
from tfrec.workflows.explore.item_categories import COLOURED

LIGHT = "#1a66b8"
DARK = "#6db5f2"
"""Accent colours, also of Streamlit's widgets; their contrast with the page is at least 4.5 : 1."""

_OF_KINDS = (
    ("#1a66b8", "#6db5f2"),
    ("#b3440c", "#f2a35e"),
    ("#1d7a3a", "#7fd69a"),
    ("#7a2f8f", "#d19be6"),
    ("#8a6100", "#e0bd54"),
    ("#b0256a", "#f291bd"),
    ("#0f7285", "#6ccfe0"),
    ("#59616b", "#b4bdc7"),
)
KINDS = len(_OF_KINDS)
"""Event kinds with their own colour; further kinds reuse the colours."""

_SHEET = """
.stMainBlockContainer { padding-top: 3.5rem; }
.stMain h3 { font-size: 1.2rem; padding: .75rem 0 .5rem; }
.stSidebar h2 { font-size: 1.1rem; }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p {
  color: light-dark(#5a626c, #b0b5ba) !important; opacity: 1 !important; }
[class*="st-key-add-"] button, [class*="st-key-out-"] button { justify-content: flex-start; text-align: left; }
[class*="st-key-out-"] button { min-height: 2rem; padding: .1rem 0; }
.st-key-events-out { gap: 0; }
.explore { --soft: light-dark(#5a626c, #b0b5ba);
  --edge: light-dark(#d9dde2, #3d3f42); --face: light-dark(#fff, #1d1e20); --bar-up: var(--accent);
  --bar-down: light-dark(#b3440c, #f2a35e);
  --bar-zero: light-dark(#7b848e, #8a949e); --bar-track: light-dark(#eef1f4, #2e3033);
  font-size: .95rem; line-height: 1.45; }
.explore ol, .explore ul { list-style: none; margin: 0; padding: 0; }
.explore li { margin: 0; }
.explore p, .explore dl { margin: 0; padding: 0; font-size: inherit; }
.explore dt, .explore dd { font-size: inherit; }
.explore .soft, .explore p.soft { color: var(--soft); font-size: .85rem; }
.explore :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }

.tile { position: relative; display: grid; place-items: center; flex: none; overflow: hidden; border-radius: 6px;
  width: 4.5rem; aspect-ratio: 2 / 3; background: oklch(45% .09 var(--hue)); color: #fff; font-weight: 600;
  letter-spacing: .04em; }
.tile.hue-none { background: #59616b; }
.tile img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: cover; }

.cards { display: grid; gap: .75rem; }
.card { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .25rem 1rem; padding: .9rem 1rem;
  border: 1px solid var(--edge); border-radius: 10px; background: var(--face); }
.card .about { min-width: 0; overflow-wrap: anywhere; }
.explore .card .title { font-size: 1.05rem; font-weight: 600; line-height: 1.3; }
.card .rank { color: var(--soft); font-weight: 500; }
.explore .card .facts { font-size: .9rem;
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; }
.card .facts .soft { font-size: inherit; }
.explore .card .why { margin-top: .4rem; font-size: .9rem; }
.card .parts { font-size: .85rem; }
.card .total { display: flex; justify-content: space-between; font-weight: 600; margin-bottom: .2rem; }
.badge { display: inline-block; padding: 0 .5rem; border: 1px solid currentColor;
  border-radius: 1rem; color: var(--accent); font-size: .75rem; font-weight: 600; white-space: nowrap;
  vertical-align: .1rem; }
.badge.down { color: var(--bar-down); }
.badge.same { color: var(--soft); }
.explore { container-type: inline-size; }
@container (min-width: 46rem) { .card.scored { grid-template-columns: auto minmax(0, 1fr) minmax(0, 21rem); } }
@container (max-width: 45.99rem) { .card .parts { grid-column: 1 / -1; margin-top: .5rem; } }
.card:not(.scored) .tile { width: 3.25rem; }
@container (max-width: 30rem) { .card .tile { width: 3.5rem; } }

.timeline { display: flex; flex-direction: row-reverse; gap: 0; overflow-x: auto; padding: .25rem 0 .75rem;
  scrollbar-width: thin; }
.timeline li:first-child { margin-right: auto; }
.timeline li { position: relative; flex: none; width: 6.75rem; padding: 1.4rem .75rem 0 0; font-size: .8rem;
  line-height: 1.3; }
.timeline li::before { content: ""; position: absolute; top: .45rem; left: 0; right: 0; height: 2px;
  background: var(--edge); }
.timeline li::after { content: ""; position: absolute; top: .1rem; left: 0; width: .75rem; height: .75rem;
  border-radius: 50%; background: var(--kind); }
.timeline .tile { width: 3rem; margin-bottom: .3rem; font-size: .85rem; }
.timeline .name { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden;
  overflow-wrap: anywhere; }
.timeline .kind { color: var(--kind); font-weight: 600; }
.timeline .earlier { width: 5.5rem; color: var(--soft); }
.timeline .earlier::after { background: var(--edge); }

.explore .legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin-bottom: .4rem; font-size: .85rem;
  color: var(--soft); }
.legend span { display: inline-flex; align-items: center; gap: .4rem; }
.legend i { position: static !important; margin: 0 !important; }
.map { margin: 0; }
.plane { position: relative; height: min(34rem, 110vw); border: 1px solid var(--edge); border-radius: 10px;
  background: var(--face); margin-bottom: .6rem; }
.dot, .mark { position: absolute; cursor: default; }
.dot::before { content: ""; position: absolute; inset: -3px; border-radius: 50%; }
@container (max-width: 30rem) { .plane .dot { width: 6px; height: 6px; margin: -3px; } }
.dot { width: 8px; height: 8px; margin: -4px; border-radius: 50%; opacity: .75;
  background: light-dark(oklch(62% .12 var(--hue)), oklch(68% .11 var(--hue))); }
.dot.hue-none { background: light-dark(#8a939d, #8a939d); }
.mark { display: grid; place-items: center; width: 1.4rem; height: 1.4rem; margin: -.7rem;
  font-size: .75rem; font-weight: 700; font-style: normal; line-height: 1; }
.mark.pick { border-radius: 50%; background: var(--accent); color: light-dark(#fff, #0e1117);
  outline: 2px solid var(--face); z-index: 2; }
.mark.past { width: .7rem; height: .7rem; margin: -.35rem; background: light-dark(#16202a, #f2f5f8);
  outline: 2px solid var(--face); z-index: 1; }
.plane [data-title]:hover, .plane [data-title]:focus { z-index: 9; opacity: 1; }
.plane [data-title]:hover::after, .plane [data-title]:focus::after { content: attr(data-title); position: absolute;
  left: 0; bottom: calc(100% + 6px); width: max-content; max-width: min(15rem, 42vw); padding: .25rem .6rem;
  border-radius: 6px; background: light-dark(#16202a, #f2f5f8); color: light-dark(#fff, #12181e);
  font-size: .8rem; font-weight: 500; font-style: normal; line-height: 1.35;
  pointer-events: none; }
.plane .flip:hover::after, .plane .flip:focus::after { left: auto; right: 0; }
.plane .under:hover::after, .plane .under:focus::after { bottom: auto; top: calc(100% + 6px); }

.people { display: grid; gap: .4rem; }
.people li { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; padding: .5rem .9rem;
  border: 1px solid var(--edge); border-radius: 8px; background: var(--face); }
"""


def style_sheet() -> str:
    """The rules of the page, with the colours of categories and of kinds of event."""
    rules = [f".explore {{ --accent: light-dark({LIGHT}, {DARK}); }}"]
    rules += [f".hue-{place} {{ --hue: {20 + place * 45}; }}" for place in range(COLOURED + 1)]
    rules += [f".kind-{n} {{ --kind: light-dark({light}, {dark}); }}" for n, (light, dark) in enumerate(_OF_KINDS)]
    return "\n".join([*rules, BARS, _SHEET])
