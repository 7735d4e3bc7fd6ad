"""Formulas as pictures in the page (SVG, by ziamath): the same in every browser, without scripts, fonts or network."""

from xml.etree import ElementTree

import ziamath
from docutils.nodes import SkipNode
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
SIZE = 16.0
"""Font size in the picture's own units, which become 1 em of the text."""

ziamath.config.svg2 = False  # no symbols with identifiers, of which a page may have each only once
ziamath.config.precision = 2


def inline(writer, node) -> None:
    writer.body.append(_picture(node, inline=True))
    raise SkipNode


def block(writer, node) -> None:
    writer.body.append(f'<div class="formula">{_picture(node)}</div>\n')
    raise SkipNode


def _picture(node, **options) -> str:
    source = " ".join(node.astext().split())
    try:
        formula = ziamath.Latex(source, size=SIZE, color="currentColor", **options)
    except Exception as error:  # its parser raises many kinds
        LOGGER.warning("formula %r: %s: %s", source, type(error).__name__, error, location=node)
        return ""
    svg = formula.svgxml()
    width, height = (float(svg.attrib.pop(side)) / SIZE for side in ("width", "height"))
    svg.set("style", f"width: {width:.3f}em; height: {height:.3f}em; vertical-align: {formula.getyofst() / SIZE:.3f}em")
    svg.set("class", "tex")
    svg.set("role", "img")
    svg.set("aria-label", source)
    return ElementTree.tostring(svg, encoding="unicode")


def setup(app):
    app.add_html_math_renderer("ziamath", (inline, None), (block, None))
    app.config.html_math_renderer = "ziamath"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
