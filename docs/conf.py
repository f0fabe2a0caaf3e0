"""How `make docs` builds the site: from these pages and from the code, without the network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import replsync

project = "replsync"
author = "The replsync contributors"
project_copyright = author
version = release = replsync.__version__

extensions = ["myst_parser", "docs._ext.generated", "docs._ext.links"]
exclude_patterns = ["_ext"]
myst_heading_anchors = 4  # the same anchors as on a code host
smartquotes = False  # it would make one dash of the two in front of an option
nitpicky = True

html_theme = "furo"
html_title = f"replsync {version}"
html_copy_source = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
html_static_path = ["_static"]
html_css_files = ["site.css"]
