"""Formulas as MathML, which browsers draw themselves: no script, no fonts, no network."""

from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.math import get_node_equation_number


def inline(writer, node):
    writer.body.append(tex2mathml(node.astext()))
    raise_skip()


def block(writer, node):
    number = get_node_equation_number(writer, node) if node.get("number") else ""
    label = f'<span class="eqno">({number})</span>' if number else ""
    text = node.astext()
    if r"\\" in text and r"\begin" not in text:
        text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    writer.body.append(f'<div class="math">{tex2mathml(text, as_block=True)}{label}</div>\n')
    raise_skip()


def raise_skip():
    from docutils.nodes import SkipNode

    raise SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
