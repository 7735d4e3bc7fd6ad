"""Sphinx's configuration: `make docs`, or sphinx-build -W docs docs/_build/html."""

import sys
from pathlib import Path

import repnet_pde

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "repnet-pde"
author = "the repnet-pde authors"
version = release = repnet_pde.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "matplotlib.sphinxext.plot_directive",
    "formulas",
    "generated",
]
exclude_patterns = ["_build"]
default_role = "py:obj"  # names in docstrings become links where there is a page for them
nitpicky = True
nitpick_ignore_regex = [("py:obj", ".*"), ("py:class", r"(collections|deepxde|numpy|pathlib|sklearn|torch)\..*")]

if tags.has("online"):  # noqa: F821  sphinx-build -t online: links to other packages, which need the network
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "deepxde": ("https://deepxde.readthedocs.io/en/latest/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "python": ("https://docs.python.org/3/", None),
        "torch": ("https://docs.pytorch.org/docs/stable/", None),
    }

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say types, with shapes and units
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes in one list
napoleon_use_rtype = False

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_show_tb = True

plot_working_directory = str(Path(__file__).parent)
plot_formats = [("png", 130)]
plot_html_show_formats = plot_html_show_source_link = False
plot_rcparams = {"figure.constrained_layout.use": True}
plot_apply_rcparams = True

html_theme = "furo"
html_title = "repnet-pde"
html_static_path = ["static"]
html_extra_path = ["reports"]
html_css_files = ["site.css"]
html_show_sphinx = html_show_copyright = False
html_copy_source = False
