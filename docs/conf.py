"""Sphinx configuration: Markdown pages and the reference of the public names."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "helion-msl"
author = "the helion-msl authors"
version = release = installed_version("helion-msl")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"

html_theme = "furo"
html_title = "helion-msl"
